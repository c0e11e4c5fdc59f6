"""Tries an event on routes and destinations: what would become of it. Nothing is sent or changed.

For the command line and the admin API alike. What is told has no secret in it, and no signature:
who may try things shall not be able to sign a body of their own for a destination.
"""

import asyncio
from functools import cache

import msgspec

from comporta.chatwoot.fields import fields_of
from comporta.chatwoot.peek import NotAnObjectError, peek
from comporta.domain import ids
from comporta.domain.delivery import Delivery, Ending
from comporta.domain.event import Headers
from comporta.domain.explaining import Verdict, explain
from comporta.domain.fleet import Destination, Fleet
from comporta.errors import ConfigError, FleetError, NotFoundError
from comporta.fleet.named import find
from comporta.i18n import _
from comporta.ledger.port import Ledger
from comporta.operating.names import Names
from comporta.urls import handler_of, masked_url
from comporta.vault import Vault

SAMPLE_INSTANCE = "example"
"""Whose a body is of which nobody said so."""
MASKED = "***"
_SIGNATURE = "webhook-signature"


class Sample(msgspec.Struct, frozen=True):
    """What something is tried with: a stored event, or a body."""

    event_id: int | None = None
    body: bytes = b""
    instance: str = ""
    """Whose the body is."""


class RoutesTried(msgspec.Struct, frozen=True):
    """Which routes an event is for, and why not for the others."""

    instance: str
    event_type: str
    verdicts: tuple[Verdict, ...]


class RequestTried(msgspec.Struct, frozen=True):
    """The request that a destination would get."""

    url: str
    """Without password and query."""
    reason: str = ""
    """Why nothing would be sent; empty: it would."""
    trace: str = ""
    """Where it failed, if that is why."""
    headers: dict[str, str] = {}
    """Secrets and the signature are masked."""
    body: str = ""

    @property
    def sent(self) -> bool:
        """Whether there would be a request."""
        return not self.reason


class TrialService:
    """What may be tried.

    Args:
        ledger: has the fleet, and events.
        vault: opens the secrets of destinations.

    Raises, from any operation:
        NotFoundError: an event, its body, or something that was named does not exist.
        ConfigError: a body is not a JSON object, or a secret was sealed with another key.
        StoreUnavailableError: the ledger cannot be used right now.
    """

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger, self._vault = ledger, vault

    async def routes(self, sample: Sample, name: str | None, now_ms: int) -> RoutesTried:
        """Which routes it is for.

        Args:
            sample: what with; a body needs an instance of the fleet.
            name: of the only route that is asked about; None: all of them.
            now_ms: Unix milliseconds.
        """
        fleet = await self._ledger.fleet()
        routes = fleet.routes if name is None else (find("route", name, fleet.routes),)
        if sample.event_id is None:
            find("instance", sample.instance, fleet.instances)
        event, instance = await self._delivery(sample, fleet, now_ms)

        def asked() -> tuple[Verdict, ...]:
            fields = cache(lambda: fields_of(event.body))
            return tuple(explain(one, instance, event.event_type, fields) for one in routes)

        # Off the loop, as all that takes as long as somebody else's routes and bodies like.
        return RoutesTried(instance, event.event_type, await asyncio.to_thread(asked))

    async def request(self, name: str, sample: Sample, now_ms: int) -> RequestTried:
        """What a destination would get.

        Args:
            name: of the destination.
            sample: what with.
            now_ms: Unix milliseconds, for the request's own time.

        Raises:
            FleetError: the destination is a handler, so it gets no request.
        """
        fleet = await self._ledger.fleet()
        destination = find("destination", name, fleet.destinations)
        if handler_of(destination.url) is not None:
            said = _("{name} is a handler: it gets no request, but the event as it came.")
            raise FleetError(said.format(name=name))
        event, instance = await self._delivery(sample, fleet, now_ms)
        return await asyncio.to_thread(_made, destination, self._vault, event, instance, now_ms)

    async def _delivery(self, sample: Sample, fleet: Fleet, now_ms: int) -> tuple[Delivery, str]:
        """A delivery of it that nobody owes, and the name of its instance."""
        if sample.event_id is None:
            event_type, event_id = _type_of(sample.body), ids.first_at(now_ms)
            name = sample.instance or SAMPLE_INSTANCE
            return _owed(event_id, "", event_type, (), sample.body), name
        detail = await self._ledger.event(sample.event_id)
        shown = ids.show("evt", sample.event_id)
        if detail is None:
            raise NotFoundError(_("There is no event {id}.").format(id=shown))
        if detail.body is None:
            gone = _("The body of {id} is gone: it was older than the retention.")
            raise NotFoundError(gone.format(id=shown))
        row = detail.row
        owed = _owed(row.id, row.instance_id, row.event_type, detail.headers, detail.body)
        return owed, Names(fleet).instance(row.instance_id)


def _type_of(body: bytes) -> str:
    try:
        return peek(body).event_type
    except NotAnObjectError:
        said = _("The body is not a JSON object. Give one as Chatwoot sends it.")
        raise ConfigError(said) from None


def _owed(
    event_id: int, instance_id: str, event_type: str, headers: Headers, body: bytes
) -> Delivery:
    return Delivery(
        id=event_id,
        event_id=event_id,
        destination_id="",
        partition=0,
        lane=0,
        attempts=0,
        due_at_ms=0,
        instance_id=instance_id,
        event_type=event_type,
        accepted_at_ms=ids.millis_of(event_id),
        headers=headers,
        body=body,
    )


def _made(
    destination: Destination, vault: Vault, event: Delivery, instance: str, now_ms: int
) -> RequestTried:
    from comporta.destinations.http import open_endpoint, request_of  # noqa: PLC0415  (heavy)
    from comporta.destinations.shape import Unshapable  # noqa: PLC0415

    endpoint = open_endpoint(destination, lambda one: vault.open(one.sealed))
    made, url = request_of(endpoint, event, instance, now_ms), masked_url(destination.url)
    if isinstance(made, Unshapable):
        trace = "" if made.ending is Ending.DROPPED else made.trace.decode(errors="replace")
        return RequestTried(url, made.reason, trace)
    hidden = {*endpoint.headers, _SIGNATURE}
    headers = {key: MASKED if key in hidden else value for key, value in made.headers.items()}
    return RequestTried(url, headers=headers, body=made.body.decode(errors="replace"))
