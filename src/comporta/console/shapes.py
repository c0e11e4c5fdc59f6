"""What the admin API answers with, as pydantic models: the OpenAPI description is made of them."""

import datetime as dt
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from comporta.alerting.model import Kind, Severity
from comporta.domain.breaker import BreakerState
from comporta.domain.classes import EventClass
from comporta.domain.delivery import DeliveryState
from comporta.domain.explaining import Part
from comporta.domain.fleet import Format, SourceKind
from comporta.ledger.admin import Scope

T = TypeVar("T")


class Shape(BaseModel):
    """The root of all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Fault(Shape):
    """One thing that is wrong with a request."""

    pointer: str
    """A JSON Pointer into the body, or a parameter's name."""
    reason: str


class Problem(Shape):
    """Why a request is refused (RFC 9457)."""

    type: str
    """Relative to the documentation: /problems/not-found"""
    title: str
    status: int
    detail: str
    """What to do next."""
    reason: str | None = None
    """What is special about this case."""
    errors: list[Fault] | None = None
    id: str | None = None
    """Under which the gateway's log has more."""


class Page(Shape, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None
    """The cursor of the next page; null: this is the last one."""


class Token(Shape):
    """A source's token, as far as it may be told."""

    digest: str
    """The beginning of its SHA-256, hexadecimal."""
    hint: str
    """Its first characters; empty for short ones."""
    reference: str
    """Where the operator keeps it (env:NAME, file:PATH); empty if not told."""


class Source(Shape):
    """One webhook URL given to an instance."""

    id: str
    name: str
    kind: SourceKind
    tokens: list[Token]
    secrets: int
    """How many signing secrets it has; without one, calls are not verified."""


class Instance(Shape):
    """One Chatwoot installation."""

    id: str
    name: str
    url: str
    sources: list[Source]


class Rate(Shape):
    """How fast a destination may be called, over all workers."""

    per_s: float
    burst: int


class Destination(Shape):
    """Where deliveries go."""

    id: str
    name: str
    url: str
    """Without password and query."""
    signed: bool
    timeout_s: float
    retry: list[float]
    """Seconds to wait before attempts 2, 3, …"""
    rate: Rate | None
    """null: as fast as it answers."""
    concurrency: int
    """Attempts at a time, over all workers; 0: the gateway's setting."""
    instance_concurrency: int
    """Attempts at a time for one instance; 0: three quarters of the concurrency."""
    park_s: float
    """How long the head of a lane may fail while the destination works for others."""
    classes: dict[str, EventClass]
    """Event type or pattern → class, before the defaults."""
    format: Format
    transform: str
    """The JMESPath expression, if that is the format."""
    headers: list[str]
    """The names of further headers; their values are not told."""
    paused: str
    """Why nothing is sent there, while what is owed waits; empty: it is sent."""
    managed: str
    """Who keeps it, so that fleet documents leave it alone; empty: a person."""


class Route(Shape):
    """A rule: which events go to which destinations."""

    id: str
    name: str
    to: list[str]
    instances: list[str]
    events: list[str]
    where: dict[str, Any]
    """Condition → the values asked for; all must hold."""
    managed: str
    """As of a destination."""


class Fleet(Shape):
    """All of it, without secrets."""

    version: int
    instances: list[Instance]
    destinations: list[Destination]
    routes: list[Route]


class Change(Shape):
    """One thing that a change did, or would do."""

    kind: Literal["add", "change", "remove"]
    what: Literal["instance", "source", "destination", "route"]
    name: str
    detail: str


class NewToken(Shape):
    """A token that was made just now: it is shown once."""

    instance: str
    source: str
    token: str
    webhook_url: str


class Changed(Shape):
    """What a change to the fleet did, or would do."""

    applied: bool
    version: int
    """Of the fleet now."""
    changes: list[Change]
    tokens: list[NewToken]
    warnings: list[str]


class Event(Shape):
    """One accepted webhook call."""

    id: str
    accepted_at: dt.datetime
    instance: str
    instance_id: str
    source: str
    source_id: str
    event_type: str
    subject: str
    account_id: int | None
    verified: bool
    body_bytes: int
    deliveries: int
    duplicate_of: str | None


class Header(Shape):
    """One header of a request, as it came; its name in lower case."""

    name: str
    value: str


class EventDetail(Event):
    """An event with the headers it came with."""

    headers: list[Header]
    has_body: bool
    """False: retention has taken it."""


class Delivery(Shape):
    """The obligation to bring one event to one destination."""

    id: str
    event_id: str
    created_at: dt.datetime
    instance: str
    instance_id: str
    event_type: str
    subject: str
    destination: str
    destination_id: str
    state: DeliveryState
    attempts: int
    due_at: dt.datetime | None
    settled_at: dt.datetime | None
    reason: str
    replay: bool


class Attempt(Shape):
    """One try at a delivery."""

    number: int
    started_at: dt.datetime
    duration_ms: float
    status: int | None
    error: str
    response: str
    """The first part of the answer's body."""


class Attempts(Shape):
    """All tries at a delivery, oldest first."""

    items: list[Attempt]


class Miss(Shape):
    """The first thing in a route that an event does not fit."""

    part: Part
    condition: str
    """Its key in `where`; empty for the other parts."""
    wanted: list[Any]
    found: Any
    """What the event has there; null: nothing."""


class RouteTried(Shape):
    """A route, and whether an event is for it."""

    name: str
    fits: bool
    to: list[str]
    miss: Miss | None
    """Why not."""
    error: str
    """What a condition raised on this event: its deliveries would be dead letters; mostly empty."""


class RoutesTried(Shape):
    """Which routes an event is for."""

    instance: str
    event_type: str
    fits: bool
    """Whether any is."""
    routes: list[RouteTried]


class RequestTried(Shape):
    """The request that a destination would get. Secrets and the signature are masked."""

    url: str
    """Without password and query."""
    sent: bool
    reason: str
    """Why nothing would be sent; empty: it would."""
    trace: str
    """Where it failed, if that is why."""
    headers: dict[str, str]
    body: str


class Count(Shape):
    """How many deliveries match."""

    count: int


class Matches(Shape):
    """What a change in bulk would take now."""

    count: int
    bodiless: int
    """More that match, but whose bodies retention has taken: they stay as they are."""
    first_at: dt.datetime | None
    """When the earliest of their events was accepted."""
    last_at: dt.datetime | None


class Operation(Shape):
    """What somebody did to deliveries."""

    id: int
    at: dt.datetime
    who: str
    what: str
    which: dict[str, Any]
    """The filter, and what else was asked for."""
    count: int


class FleetChange(Shape):
    """A version of the fleet."""

    version: int
    at: dt.datetime
    who: str
    summary: str


class Step(Shape):
    """One step of a change in bulk."""

    done: int
    """Deliveries that this step took."""
    total: int
    """Deliveries that all steps together take at the most."""
    next: str | None
    """Send it as `cursor` for the next step; null: all is done."""


class Rejected(Shape):
    """A webhook call that was refused. Secrets are masked."""

    at: dt.datetime
    status: int
    reason: str
    method: str
    path: str
    peer: str
    source: str | None
    source_id: str | None
    headers: list[Header]
    body_bytes: int


class Worker(Shape):
    """A worker that has been heard of within the last lease."""

    id: str
    server: str
    """The name of the server that it belongs to."""
    pid: int
    started_at: dt.datetime
    beat_at: dt.datetime
    partitions: int
    dispatches: bool
    """Whether it takes a share of the partitions."""


class Workers(Shape):
    """All of them."""

    items: list[Worker]


class Breaker(Shape):
    """The circuit breaker of a destination that is not closed."""

    destination: str
    destination_id: str
    state: BreakerState
    since: dt.datetime | None
    until: dt.datetime | None
    """When probes may go out; or, half-open, when those that were not reported are given up."""
    trips: int
    """How often it has opened since it was last closed."""
    probes: int
    reason: str


class Breakers(Shape):
    """Those that are not closed."""

    items: list[Breaker]


class Alert(Shape):
    """Something that is wrong, or was."""

    name: str
    """What it is acknowledged by: its kind and what it is about."""
    kind: Kind
    subject: str
    severity: Severity
    values: dict[str, str | int | float]
    """The numbers that led to it."""
    text: str
    """What is wrong and what to do, in the language that was asked for."""
    opened_at: dt.datetime
    acknowledged_at: dt.datetime | None
    acknowledged_by: str
    resolved_at: dt.datetime | None


class Alerts(Shape):
    """Newest first."""

    items: list[Alert]


class Summary(Shape):
    """How the gateway is, in a few numbers."""

    version: str
    public_url: str
    fleet_version: int
    workers: int
    lag: int
    """Accepted events that dispatch has not taken over yet."""
    pending: int
    scheduled: int
    dead: int
    oldest_open_at: dt.datetime | None


class ApiKey(Shape):
    """A key of this API, as far as it may be told."""

    id: str
    name: str
    scope: Scope
    hint: str
    created_at: dt.datetime
    created_by: str
    last_used_at: dt.datetime | None
    """Coarse: at most once a minute."""
    revoked_at: dt.datetime | None


class NewApiKey(ApiKey):
    """A key that was made just now."""

    key: str = Field(description="The key itself: it is shown once.")
