"""`comporta events` and `comporta event show`: what came in, and what became of it."""

import asyncio
from typing import Annotated

import typer

from comporta.cli.command import command, group
from comporta.cli.desk import Desk, Stores, deadline
from comporta.cli.following import POLL_S, Follower
from comporta.cli.moments import since_ms
from comporta.cli.names import Names, number
from comporta.cli.selection import EventType, Instance, Since
from comporta.cli.timeline import show_event
from comporta.cli.views import event_cells, event_columns
from comporta.domain import ids
from comporta.errors import NotFoundError
from comporta.i18n import _
from comporta.ledger.port import EventDetail, EventFilter

Limit = Annotated[int, typer.Option(min=1, max=10_000, help=_("At most so many."))]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(events)
    event = group("event", _("One event."))
    command(event)(show)
    app.add_typer(event)


async def events(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    instance: Instance = None,
    event_type: EventType = None,
    conversation: Annotated[
        int | None, typer.Option(help=_("Only of the conversation with this number."))
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help=_("Go on showing events as they come."))
    ] = False,
) -> None:
    """List accepted events, newest first."""
    start_ms = since_ms(since, desk.now_ms()) if since else None
    async with desk.stores() as stores:
        async with deadline():
            names = Names(await stores.ledger.fleet())
        which = EventFilter(
            instance_id=names.instance_id(instance),
            event_type=event_type,
            conversation_id=conversation,
            since_ms=start_ms if start_ms or not follow else desk.now_ms(),
            limit=limit,
        )
        if follow:
            await _follow(desk, stores, which)
            return
        async with deadline():
            rows = await stores.ledger.events(which)
    shown = [event_cells(row, names) for row in rows]
    desk.screen.table(event_columns(), shown, empty=_("No events."))


async def _follow(desk: Desk, stores: Stores, which: EventFilter) -> None:
    follower = Follower(stores.ledger, which)
    while True:
        async with deadline():
            rows = await follower.fresh()
            names = Names(await stores.ledger.fleet())
        for row in rows:
            desk.screen.line(event_columns(), event_cells(row, names))
        await asyncio.sleep(POLL_S)


async def show(
    desk: Desk,
    event: Annotated[str, typer.Argument(metavar="EVT", help=_("The event's id."))],
    body: Annotated[
        bool, typer.Option("--body", help=_("Only the body, byte for byte as it came."))
    ] = False,
) -> None:
    """Show an event: how it came in, its deliveries, every attempt."""
    event_id = number("evt", event)
    async with desk.stores() as stores:
        async with deadline():
            detail = await stores.ledger.event(event_id)
        if detail is None:
            raise NotFoundError(_("There is no event {id}.").format(id=event))
        if body:
            desk.screen.raw(body_of(detail))
            return
        async with deadline():
            await show_event(desk.screen, stores.ledger, detail)


def body_of(detail: EventDetail) -> bytes:
    """The body of a stored event.

    Raises:
        NotFoundError: it is gone, for it was older than the retention.
    """
    if detail.body is None:
        gone = _("The body of {id} is gone: it was older than the retention.")
        raise NotFoundError(gone.format(id=ids.show("evt", detail.row.id)))
    return detail.body
