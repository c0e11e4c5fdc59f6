"""`comporta deliveries` and `comporta dead`: what is owed, what was done, what was given up."""

from typing import Annotated

import msgspec
import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.events import Limit
from comporta.cli.names import Names
from comporta.cli.selection import (
    Destination,
    Event,
    EventType,
    FailedWith,
    Instance,
    Route,
    Since,
    Until,
    Wanted,
    filter_of,
)
from comporta.cli.views import delivery_cells, delivery_columns
from comporta.domain.delivery import DeliveryState
from comporta.i18n import _


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
    event: Event = None,
    event_type: EventType = None,
    route: Route = None,
    failed_with: FailedWith = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
) -> None:
    """List deliveries, newest first."""
    wanted = Wanted(
        state=state,
        event=event,
        destination=destination,
        instance=instance,
        event_type=event_type,
        route=route,
        reason=failed_with,
        since=since,
        until=until,
    )
    await _list(desk, wanted, limit)


async def dead(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    destination: Destination = None,
    instance: Instance = None,
    event_type: EventType = None,
    route: Route = None,
    failed_with: FailedWith = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
) -> None:
    """List dead letters, with the reason.

    Dead letters are deliveries that were given up. `comporta redrive` puts them back, and
    `comporta discard` gives them up for good.
    """
    wanted = Wanted(
        state=DeliveryState.DEAD,
        destination=destination,
        instance=instance,
        event_type=event_type,
        route=route,
        reason=failed_with,
        since=since,
        until=until,
    )
    await _list(desk, wanted, limit)


async def _list(desk: Desk, wanted: Wanted, limit: int) -> None:
    async with desk.stores() as stores, deadline():
        names = Names(await stores.ledger.fleet())
        which = msgspec.structs.replace(filter_of(wanted, names, desk.now_ms()), limit=limit)
        rows = await stores.ledger.deliveries(which)
    shown = [delivery_cells(row, names) for row in rows]
    empty = _("No dead letters.") if wanted.state is DeliveryState.DEAD else _("No deliveries.")
    desk.screen.table(delivery_columns(), shown, empty=empty)
