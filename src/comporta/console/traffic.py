"""The operations on events, and on deliveries one by one or in lists: they change nothing."""

from typing import Annotated

from fastapi import Path, Query
from msgspec.structs import replace
from pydantic import AwareDatetime
from starlette.requests import Request
from starlette.responses import Response

from comporta.console import problems, shapes, told
from comporta.console.desk import Desk
from comporta.console.operations import READ, Operations
from comporta.console.paging import Cursor, Limit, cut, link, read_id_cursor
from comporta.console.problems import Fault, RefusedError
from comporta.domain import ids
from comporta.domain.delivery import DeliveryState
from comporta.errors import NotFoundError
from comporta.i18n import _
from comporta.ledger.port import DeliveryFilter, DeliveryRow, EventDetail, EventFilter
from comporta.operating.selection import Selection, filter_of

INTEGER_MAX = 2**63 - 1
EventId = Annotated[str, Path(max_length=64, description="evt_ and 13 characters.")]
DeliveryId = Annotated[str, Path(max_length=64, description="dlv_ and 13 characters.")]
Named = Annotated[str | None, Query(max_length=64, description="Its name, or its id.")]
Since = Annotated[AwareDatetime | None, Query(description="Only since then.")]
Until = Annotated[AwareDatetime | None, Query(description="Only before then.")]
FailedWith = Annotated[
    str | None, Query(max_length=256, description="Only with this in the reason why it failed.")
]
Type = Annotated[str | None, Query(max_length=256, description="message_created, …")]
Conversation = Annotated[int | None, Query(ge=0, le=INTEGER_MAX, description="Its number.")]
OfEvent = Annotated[str | None, Query(max_length=64, description="Only of this event.")]
State = Annotated[DeliveryState | None, Query(description="Only in this state.")]


def number(prefix: str, text: str | None, where: str) -> int | None:
    """The number behind a public id; None for None.

    Raises:
        RefusedError: it is not one.
    """
    if text is None:
        return None
    try:
        return ids.parse(prefix, text)
    except ValueError:
        said = _("This is not an id of the form {prefix}_ and 13 characters.")
        fault = Fault(where, said.format(prefix=prefix))
        raise RefusedError(problems.INVALID, errors=(fault,)) from None


def needed(prefix: str, text: str) -> int:
    """The number behind an id in the path. Raises RefusedError."""
    return number(prefix, text, "id") or 0


def millis(moment: AwareDatetime | None) -> int | None:
    """Unix milliseconds; None for None."""
    return None if moment is None else round(moment.timestamp() * 1000)


class EventOperations:
    """Registers those on events."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._ledger = desk, desk.stores.ledger

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("GET", "/events", "listEvents", self.list, READ, shapes.Page[shapes.Event])
        add("GET", "/events/{id}", "showEvent", self.show, READ, shapes.EventDetail)
        add(
            "GET",
            "/events/{id}/body",
            "showEventBody",
            self.body,
            READ,
            None,
            media="application/octet-stream",
        )

    async def list(  # noqa: PLR0913, PLR0917  (one parameter a filter)
        self,
        request: Request,
        response: Response,
        instance: Named = None,
        event_type: Type = None,
        conversation: Conversation = None,
        since: Since = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> shapes.Page[shapes.Event]:
        """Accepted events, newest first."""
        names = await self._desk.names()
        which = EventFilter(
            instance_id=names.instance_id(instance),
            event_type=event_type,
            conversation_id=conversation,
            since_ms=millis(since),
            before_id=read_id_cursor("events", cursor),
            limit=limit + 1,
        )
        rows, after = cut(await self._ledger.events(which), limit, "events", lambda row: row.id)
        link(request, response, after)
        return shapes.Page(items=[told.event(row, names) for row in rows], next=after)

    async def show(self, id: EventId) -> shapes.EventDetail:  # noqa: A002
        """An event with its headers."""
        return told.event_detail(await self._event(id), await self._desk.names())

    async def body(self, id: EventId) -> Response:  # noqa: A002
        """An event's body, byte for byte as it came."""
        detail = await self._event(id)
        if detail.body is None:
            gone = _("The body of {id} is gone: it was older than the retention.")
            raise NotFoundError(gone.format(id=id))
        headers = {"x-content-type-options": "nosniff"}
        return Response(detail.body, 200, headers, "application/octet-stream")

    async def _event(self, id: str) -> EventDetail:  # noqa: A002
        detail = await self._ledger.event(needed("evt", id))
        if detail is None:
            raise NotFoundError(_("There is no event {id}.").format(id=id))
        return detail


class DeliveryOperations:
    """Registers those on deliveries that change nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._ledger = desk, desk.stores.ledger

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("GET", "/deliveries", "listDeliveries", self.list, READ, shapes.Page[shapes.Delivery])
        add("GET", "/deliveries/{id}", "showDelivery", self.show, READ, shapes.Delivery)
        add(
            "GET", "/deliveries/{id}/attempts", "listAttempts", self.attempts, READ, shapes.Attempts
        )

    async def list(  # noqa: PLR0913, PLR0917  (one parameter a filter)
        self,
        request: Request,
        response: Response,
        state: State = None,
        destination: Named = None,
        instance: Named = None,
        event_type: Type = None,
        route: Named = None,
        event: OfEvent = None,
        since: Since = None,
        until: Until = None,
        failed_with: FailedWith = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> shapes.Page[shapes.Delivery]:
        """Deliveries, newest first."""
        names = await self._desk.names()
        which = Selection(
            state=state,
            event_id=number("evt", event, "event"),
            destination=destination,
            instance=instance,
            event_type=event_type,
            route=route,
            since_ms=millis(since),
            until_ms=millis(until),
            reason=failed_with,
        )
        before_id = read_id_cursor("deliveries", cursor)
        rows = await self._ledger.deliveries(
            replace(filter_of(which, names), before_id=before_id, limit=limit + 1)
        )
        page, after = cut(rows, limit, "deliveries", lambda row: row.id)
        link(request, response, after)
        return shapes.Page(items=[told.delivery(row, names) for row in page], next=after)

    async def show(self, id: DeliveryId) -> shapes.Delivery:  # noqa: A002
        """A delivery."""
        return told.delivery(await self._delivery(id), await self._desk.names())

    async def attempts(self, id: DeliveryId) -> shapes.Attempts:  # noqa: A002
        """All attempts at a delivery, oldest first."""
        rows = await self._ledger.attempts((await self._delivery(id)).id)
        return shapes.Attempts(items=[told.attempt(row) for row in rows])

    async def _delivery(self, id: str) -> DeliveryRow:  # noqa: A002
        which = DeliveryFilter(delivery_ids=(needed("dlv", id),), limit=1)
        rows = await self._ledger.deliveries(which)
        if not rows:
            raise NotFoundError(_("There is no delivery {id}.").format(id=id))
        return rows[0]
