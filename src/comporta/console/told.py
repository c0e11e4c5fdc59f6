"""Structs of the domain and the ports → the shapes of the admin API. Nothing secret passes."""

import datetime as dt

from comporta.alerting.model import Alert
from comporta.alerting.words import sentence
from comporta.console import shapes
from comporta.domain import fleet as domain
from comporta.domain import ids
from comporta.domain.breaker import Breaker
from comporta.domain.delivery import DeliveryState
from comporta.domain.event import Headers
from comporta.domain.explaining import Miss, Verdict
from comporta.fleet.plan import Plan
from comporta.ledger.admin import ApiKey
from comporta.ledger.port import (
    AttemptRow,
    DeliveryRow,
    EventDetail,
    EventRow,
    FleetChange,
    Matches,
    Operation,
)
from comporta.operating.names import Names
from comporta.operating.trials import RequestTried, RoutesTried
from comporta.state.port import Rejected, WorkerRow
from comporta.urls import masked_url, webhook_url

DIGEST_CHARS = 12
"""Enough to tell tokens apart, and to name one; too little to try guesses of a weak one against."""


def moment(at_ms: int) -> dt.datetime:
    """Unix milliseconds as a moment in UTC."""
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=at_ms)


def moment_or_none(at_ms: int | None) -> dt.datetime | None:
    """None for None and for 0, which the stores use for "not yet"."""
    return moment(at_ms) if at_ms else None


def fleet(one: domain.Fleet) -> shapes.Fleet:
    """The whole fleet."""
    return shapes.Fleet(
        version=one.version,
        instances=[instance(each) for each in one.instances],
        destinations=[destination(each) for each in one.destinations],
        routes=[route(each) for each in one.routes],
    )


def instance(one: domain.Instance) -> shapes.Instance:
    """An instance with its sources."""
    sources = [source(each) for each in one.sources]
    return shapes.Instance(id=one.id, name=one.name, url=masked_url(one.url), sources=sources)


def source(one: domain.Source) -> shapes.Source:
    """A source; of its secrets only how many there are."""
    tokens = [
        shapes.Token(digest=token.digest[:DIGEST_CHARS], hint=token.hint, reference=token.ref)
        for token in one.tokens
    ]
    return shapes.Source(
        id=one.id, name=one.name, kind=one.kind, tokens=tokens, secrets=len(one.secrets)
    )


def destination(one: domain.Destination) -> shapes.Destination:
    """A destination."""
    return shapes.Destination(
        id=one.id,
        name=one.name,
        url=masked_url(one.url),
        signed=one.secret is not None,
        timeout_s=one.timeout_s,
        retry=list(one.retry),
        rate=shapes.Rate(per_s=one.rate.per_s, burst=one.rate.burst) if one.rate else None,
        concurrency=one.concurrency,
        instance_concurrency=one.instance_concurrency,
        park_s=one.park_s,
        classes=dict(one.classes),
        format=one.format,
        transform=one.transform,
        headers=list(one.headers),
        paused=one.paused,
        managed=one.managed,
    )


def route(one: domain.Route) -> shapes.Route:
    """A route."""
    return shapes.Route(
        id=one.id,
        name=one.name,
        to=list(one.to),
        instances=list(one.instances),
        events=list(one.events),
        where={field: list(values) for field, values in one.where.items()},
        managed=one.managed,
    )


def changed(plan: Plan, public_url: str, *, applied: bool = True) -> shapes.Changed:
    """What a plan did, or would do. Tokens are shown only if they are in force."""
    return shapes.Changed(
        applied=applied and bool(plan.changes),
        version=plan.fleet.version - (0 if applied or not plan.changes else 1),
        changes=[
            shapes.Change(kind=one.kind, what=one.what, name=one.name, detail=one.detail)
            for one in plan.changes
        ],
        tokens=[
            shapes.NewToken(
                instance=one.instance,
                source=one.source,
                token=one.token,
                webhook_url=webhook_url(public_url, one.token),
            )
            for one in (plan.shown if applied else ())
        ],
        warnings=list(plan.warnings),
    )


def event(row: EventRow, names: Names) -> shapes.Event:
    """An event without its body."""
    return shapes.Event(
        id=ids.show("evt", row.id),
        accepted_at=moment(row.accepted_at_ms),
        instance=names.instance(row.instance_id),
        instance_id=row.instance_id,
        source=names.source(row.source_id).rpartition("/")[2],
        source_id=row.source_id,
        event_type=row.event_type,
        subject=row.subject,
        account_id=row.account_id,
        verified=row.verified,
        body_bytes=row.body_bytes,
        deliveries=row.deliveries,
        duplicate_of=ids.show("evt", row.duplicate_of) if row.duplicate_of else None,
    )


def event_detail(detail: EventDetail, names: Names) -> shapes.EventDetail:
    """An event with its headers."""
    plain = event(detail.row, names)
    return shapes.EventDetail(
        **plain.model_dump(), headers=_headers(detail.headers), has_body=detail.body is not None
    )


def _headers(pairs: Headers) -> list[shapes.Header]:
    return [shapes.Header(name=name, value=value) for name, value in pairs]


def delivery(row: DeliveryRow, names: Names) -> shapes.Delivery:
    """A delivery."""
    waits = row.state is DeliveryState.SCHEDULED
    return shapes.Delivery(
        id=ids.show("dlv", row.id),
        event_id=ids.show("evt", row.event_id),
        created_at=moment(ids.millis_of(row.id)),
        instance=names.instance(row.instance_id),
        instance_id=row.instance_id,
        event_type=row.event_type,
        subject=row.subject,
        destination=names.destination(row.destination_id),
        destination_id=row.destination_id,
        state=row.state,
        attempts=row.attempts,
        due_at=moment_or_none(row.due_at_ms) if waits else None,
        settled_at=moment_or_none(row.settled_at_ms),
        reason=row.reason,
        replay=row.replay,
    )


def attempt(row: AttemptRow) -> shapes.Attempt:
    """One try."""
    return shapes.Attempt(
        number=row.number,
        started_at=moment(row.started_at_ms),
        duration_ms=row.duration_ms,
        status=row.status,
        error=row.error,
        response=row.response.decode(errors="replace"),
    )


def routes_tried(tried: RoutesTried) -> shapes.RoutesTried:
    """Which routes an event is for."""
    routes = [_route_tried(one) for one in tried.verdicts]
    return shapes.RoutesTried(
        instance=tried.instance,
        event_type=tried.event_type,
        fits=any(one.fits for one in routes),
        routes=routes,
    )


def _route_tried(one: Verdict) -> shapes.RouteTried:
    miss = None if one.miss is None else _miss(one.miss)
    return shapes.RouteTried(
        name=one.route.name, fits=one.fits, to=list(one.route.to), miss=miss, error=one.error
    )


def _miss(one: Miss) -> shapes.Miss:
    return shapes.Miss(
        part=one.part, condition=one.condition, wanted=list(one.wanted), found=one.found
    )


def request_tried(tried: RequestTried) -> shapes.RequestTried:
    """What a destination would get."""
    return shapes.RequestTried(
        url=tried.url,
        sent=tried.sent,
        reason=tried.reason,
        trace=tried.trace,
        headers=tried.headers,
        body=tried.body,
    )


def matches(found: Matches) -> shapes.Matches:
    """What a change in bulk would take."""
    return shapes.Matches(
        count=found.count,
        bodiless=found.bodiless,
        first_at=moment_or_none(found.first_at_ms),
        last_at=moment_or_none(found.last_at_ms),
    )


def operation(one: Operation) -> shapes.Operation:
    """An operation on record."""
    return shapes.Operation(
        id=one.id,
        at=moment(one.at_ms),
        who=one.who,
        what=one.what,
        which=one.which,
        count=one.count,
    )


def fleet_change(one: FleetChange) -> shapes.FleetChange:
    """A version of the fleet."""
    return shapes.FleetChange(
        version=one.version,
        at=moment(one.changed_at_ms),
        who=one.changed_by,
        summary=one.summary,
    )


def rejected(row: Rejected, names: Names) -> shapes.Rejected:
    """A refused webhook call."""
    return shapes.Rejected(
        at=moment(row.at_ms),
        status=row.status,
        reason=row.reason,
        method=row.method,
        path=row.path,
        peer=row.peer,
        source=names.source(row.source_id) if row.source_id else None,
        source_id=row.source_id or None,
        headers=_headers(row.headers),
        body_bytes=row.body_bytes,
    )


def worker(row: WorkerRow) -> shapes.Worker:
    """A worker."""
    return shapes.Worker(
        id=row.id,
        server=row.server,
        pid=row.pid,
        started_at=moment(row.started_at_ms),
        beat_at=moment(row.beat_at_ms),
        partitions=row.partitions,
        dispatches=row.dispatches,
    )


def breaker(destination_id: str, one: Breaker, names: Names) -> shapes.Breaker:
    """A destination's circuit breaker."""
    return shapes.Breaker(
        destination=names.destination(destination_id),
        destination_id=destination_id,
        state=one.state,
        since=moment_or_none(one.since_ms),
        until=moment_or_none(one.until_ms),
        trips=one.trips,
        probes=one.probes,
        reason=one.reason,
    )


def alert(one: Alert) -> shapes.Alert:
    """An alert; whom it was told is left out."""
    return shapes.Alert(
        name=one.name,
        kind=one.finding.kind,
        subject=one.finding.subject,
        severity=one.finding.severity,
        values=one.finding.values,
        text=sentence(one.finding, lambda at_ms: f"{moment(at_ms):%Y-%m-%d %H:%M} UTC"),
        opened_at=moment(one.opened_at_ms),
        acknowledged_at=moment_or_none(one.acked_at_ms),
        acknowledged_by=one.acked_by,
        resolved_at=moment_or_none(one.resolved_at_ms),
    )


def api_key(one: ApiKey) -> shapes.ApiKey:
    """An API key; its digest stays with us."""
    return shapes.ApiKey(
        id=one.id,
        name=one.name,
        scope=one.scope,
        hint=one.hint,
        created_at=moment(one.created_at_ms),
        created_by=one.created_by,
        last_used_at=moment_or_none(one.last_used_at_ms),
        revoked_at=moment_or_none(one.revoked_at_ms),
    )
