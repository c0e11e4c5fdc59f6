"""`comporta destination pause` and `resume`: nothing is sent for a while, and nothing is lost."""

from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, Stores, deadline
from comporta.cli.planned import carried_out
from comporta.cli.selection import Yes
from comporta.domain.delivery import DeliveryState
from comporta.domain.fleet import Destination, Fleet
from comporta.fleet.named import find
from comporta.fleet.plan import Plan
from comporta.i18n import _, plural
from comporta.ledger.port import DeliveryFilter

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[DESTINATION]...", help=_("Their names."))
]
Every = Annotated[bool, typer.Option("--all", help=_("All destinations."))]


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    command(group)(pause)
    command(group)(resume)


async def pause(
    desk: Desk,
    *,
    names: Names = None,
    every: Every = False,
    reason: Annotated[str, typer.Option(help=_("Why, for whoever looks at it."))] = "",
    yes: Yes = False,
) -> None:
    """Deliver nothing to destinations until they are resumed; what is owed to them waits."""
    async with desk.stores() as stores:
        chosen = _chosen(await stores.fleet.read(), names or [], every=every)
        if desk.screen.interactive:
            held = await _open(stores, chosen)
            desk.confirm(_question(chosen, held), yes=yes)
        plans = [await stores.fleet.pause_destination(one.name, reason, desk.who) for one in chosen]
    carried_out(desk, _together(plans))


async def resume(desk: Desk, *, names: Names = None, every: Every = False) -> None:
    """Deliver to destinations again, after they were paused or answered 410 Gone."""
    async with desk.stores() as stores:
        chosen = _chosen(await stores.fleet.read(), names or [], every=every)
        waiting = await _open(stores, [one for one in chosen if one.paused])
        plans = [await stores.fleet.resume_destination(one.name, desk.who) for one in chosen]
    carried_out(desk, _together(plans))
    said = plural("{count} delivery goes on.", "{count} deliveries go on.", waiting)
    desk.screen.say(said.format(count=waiting))


def _chosen(fleet: Fleet, names: list[str], *, every: bool) -> list[Destination]:
    """All of them are found before anything is changed."""
    if bool(names) == every:
        raise typer.BadParameter(_("Say which: names of destinations, or --all."))
    if every:
        return list(fleet.destinations)
    return [find("destination", name, fleet.destinations) for name in dict.fromkeys(names)]


def _question(chosen: list[Destination], held: int) -> str:
    said = plural(
        "Pause {names}? {count} open delivery will be held.",
        "Pause {names}? {count} open deliveries will be held.",
        held,
    )
    return said.format(names=", ".join(one.name for one in chosen), count=held)


async def _open(stores: Stores, chosen: list[Destination]) -> int:
    """How many deliveries to these destinations are still to be made."""
    total = 0
    for one in chosen:
        for state in (DeliveryState.PENDING, DeliveryState.SCHEDULED):
            which = DeliveryFilter(state=state, destination_id=one.id)
            async with deadline():
                total += await stores.ledger.count(which)
    return total


def _together(plans: list[Plan]) -> Plan:
    changes = tuple(change for plan in plans for change in plan.changes)
    return Plan(changes, plans[-1].fleet) if plans else Plan((), Fleet())
