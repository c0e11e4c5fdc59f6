"""`comporta redrive` and `comporta replay`: dead letters put back, delivered ones sent again.

First it is counted and asked, then done, in steps, so that no transaction grows with the backlog.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import typer

from comporta.cli.command import command
from comporta.cli.deliveries import Destination
from comporta.cli.desk import Desk, Stores, deadline
from comporta.cli.events import Instance, Since
from comporta.cli.names import Names
from comporta.cli.progress import bar
from comporta.cli.selection import All, Ids, Wanted, Yes, filters_of
from comporta.domain.delivery import DeliveryState
from comporta.i18n import _, plural
from comporta.ledger.port import DeliveryFilter, Step
from comporta.operating.selection import STEP_MAX

OneStep = Callable[[DeliveryFilter], Awaitable[Step]]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(redrive)
    command(app)(replay)


async def redrive(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    deliveries: Ids = None,
    destination: Destination = None,
    instance: Instance = None,
    since: Since = None,
    every: All = False,
    yes: Yes = False,
) -> None:
    """Put dead letters back into their lanes.

    Their retry schedule starts anew.
    """
    wanted = Wanted(
        DeliveryState.DEAD, tuple(deliveries or ()), None, destination, instance, since, every
    )
    async with desk.stores() as stores:
        filters, total = await _counted(desk, stores, wanted)
        question = plural("Put {count} dead letter back?", "Put {count} dead letters back?", total)
        if total:
            desk.confirm(question.format(count=total), yes=yes)

        async def step(which: DeliveryFilter) -> Step:
            return await stores.ledger.redrive(which, desk.now_ms())

        done = await _in_steps(desk, filters, total, step)
    words = plural("{count} dead letter put back.", "{count} dead letters put back.", done)
    desk.screen.result({"matched": total, "redriven": done}, words.format(count=done))


async def replay(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    deliveries: Ids = None,
    event: Annotated[
        str | None, typer.Option(metavar="EVT", help=_("All deliveries of this event."))
    ] = None,
    destination: Destination = None,
    instance: Instance = None,
    since: Since = None,
    to: Annotated[str | None, typer.Option(help=_("Deliver to this destination instead."))] = None,
    every: All = False,
    yes: Yes = False,
) -> None:
    """Deliver again what was delivered before.

    New deliveries are made; the old ones stay as they are.
    """
    wanted = Wanted(
        DeliveryState.DELIVERED,
        tuple(deliveries or ()),
        event,
        destination,
        instance,
        since,
        every,
    )
    async with desk.stores() as stores:
        async with deadline():
            target = Names(await stores.ledger.fleet()).target_id(to)
        filters, total = await _counted(desk, stores, wanted)
        question = plural(
            "Deliver {count} delivery again?", "Deliver {count} deliveries again?", total
        )
        if total:
            desk.confirm(question.format(count=total), yes=yes)

        async def step(which: DeliveryFilter) -> Step:
            return await stores.ledger.replay(which, desk.now_ms(), target)

        done = await _in_steps(desk, filters, total, step)
    words = plural("{count} new delivery made.", "{count} new deliveries made.", done)
    desk.screen.result({"matched": total, "replayed": done}, words.format(count=done))


async def _counted(desk: Desk, stores: Stores, wanted: Wanted) -> tuple[list[DeliveryFilter], int]:
    async with deadline():
        names = Names(await stores.ledger.fleet())
    filters = filters_of(wanted, names, desk.now_ms())
    total = 0
    for which in filters:
        async with deadline():
            total += await stores.ledger.count(which)
    return filters, total


async def _in_steps(desk: Desk, filters: list[DeliveryFilter], total: int, step: OneStep) -> int:
    """Work through the filters; ends at `total`, even if new matches keep coming."""
    done = 0
    with bar(desk.screen, total) as show:
        for which in filters:
            after_id = None
            while done < total:
                limit = min(STEP_MAX, total - done)
                async with deadline():
                    taken = await step(
                        msgspec.structs.replace(which, limit=limit, after_id=after_id)
                    )
                done, after_id = done + taken.done, taken.last_id
                show(done, "")
                if not taken.done:
                    break
    return done
