"""`comporta deliveries` and `comporta dead`: what is owed, what was done, what was given up."""

from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.events import Instance, Limit, Since
from comporta.cli.moments import since_ms
from comporta.cli.names import Names, number
from comporta.cli.views import delivery_cells, delivery_columns
from comporta.domain.delivery import DeliveryState
from comporta.i18n import _
from comporta.ledger.port import DeliveryFilter

Destination = Annotated[str | None, typer.Option(help=_("Only to this destination."))]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(deliveries)
    command(app)(dead)


async def deliveries(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    state: Annotated[DeliveryState | None, typer.Option(help=_("Only in this state."))] = None,
    destination: Destination = None,
    instance: Instance = None,
    event: Annotated[str | None, typer.Option(metavar="EVT", help=_("Only of this event."))] = None,
    since: Since = None,
    limit: Limit = 50,
) -> None:
    """List deliveries, newest first."""
    event_id = number("evt", event) if event else None
    await _list(desk, (state, destination, instance), event_id, since, limit)


async def dead(
    desk: Desk,
    *,
    destination: Destination = None,
    instance: Instance = None,
    since: Since = None,
    limit: Limit = 50,
) -> None:
    """List dead letters, with the reason.

    Dead letters are deliveries that were given up. `comporta redrive` puts them back.
    """
    await _list(desk, (DeliveryState.DEAD, destination, instance), None, since, limit)


async def _list(
    desk: Desk,
    which: tuple[DeliveryState | None, str | None, str | None],
    event_id: int | None,
    since: str | None,
    limit: int,
) -> None:
    state, destination, instance = which
    start_ms = since_ms(since, desk.now_ms()) if since else None
    async with desk.stores() as stores, deadline():
        names = Names(await stores.ledger.fleet())
        wanted = DeliveryFilter(
            state=state,
            destination_id=names.destination_id(destination),
            instance_id=names.instance_id(instance),
            event_id=event_id,
            since_ms=start_ms,
            limit=limit,
        )
        rows = await stores.ledger.deliveries(wanted)
    shown = [delivery_cells(row, names) for row in rows]
    empty = _("No dead letters.") if state is DeliveryState.DEAD else _("No deliveries.")
    desk.screen.table(delivery_columns(), shown, empty=empty)
