"""`comporta redrive`, `comporta replay`, `comporta discard`: many deliveries changed at once.

First it is counted and asked, then done, in steps, and kept on record for `comporta audit`.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, Stores, deadline
from comporta.cli.names import Names
from comporta.cli.progress import bar
from comporta.cli.selection import (
    All,
    Destination,
    Event,
    EventType,
    FailedWith,
    Ids,
    Instance,
    Route,
    Since,
    Until,
    Wanted,
    Yes,
    check_chosen,
    filter_of,
)
from comporta.domain.delivery import DeliveryState
from comporta.domain.pace import Speed
from comporta.errors import ConfigError
from comporta.i18n import _, plural
from comporta.ledger.bulk import Order, carry_out
from comporta.ledger.port import Bulk, Matches
from comporta.operating.pacing import lasting_ms, speed_of

REASON_LETTERS_MAX = 200


class Unfinished(StrEnum):
    """What a discard can take."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    DEAD = "dead"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for one in (redrive, replay, discard):
        command(app)(one)


async def redrive(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    deliveries: Ids = None,
    event: Event = None,
    destination: Destination = None,
    instance: Instance = None,
    event_type: EventType = None,
    route: Route = None,
    failed_with: FailedWith = None,
    since: Since = None,
    until: Until = None,
    every: All = False,
    yes: Yes = False,
) -> None:
    """Put dead letters back.

    Their retry schedule starts anew. They go out beside live events, with a smaller share.
    """
    wanted = Wanted(
        deliveries=tuple(deliveries or ()),
        event=event,
        destination=destination,
        instance=instance,
        event_type=event_type,
        route=route,
        reason=failed_with,
        since=since,
        until=until,
    )
    check_chosen(wanted, every=every)
    async with desk.stores() as stores:
        names = await _names(stores)
        order = Order(Bulk.REDRIVE, filter_of(wanted, names, desk.now_ms()), desk.who)
        found = await _found(desk, stores, order)
        question = plural(
            "Put {count} dead letter back?", "Put {count} dead letters back?", found.count
        )
        done = await _do(desk, stores, order, found, question.format(count=found.count), yes=yes)
    words = plural("{count} dead letter put back.", "{count} dead letters put back.", done)
    _tell(desk, "redriven", found, done, words)


async def replay(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    deliveries: Ids = None,
    event: Annotated[
        str | None,
        typer.Option(metavar="EVT", help=_("All deliveries of this event, whatever their state.")),
    ] = None,
    destination: Destination = None,
    instance: Instance = None,
    event_type: EventType = None,
    route: Route = None,
    since: Since = None,
    until: Until = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="DESTINATION", help=_("Deliver to this destination instead.")),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            help=_("50/s, 600/min; or 1x, 20x: as the events came, so many times faster.")
        ),
    ] = None,
    every: All = False,
    yes: Yes = False,
) -> None:
    """Deliver again what was delivered before.

    New deliveries are made, and marked as replays; the old ones stay as they are. Without --speed
    they go out as fast as the destination takes them, beside live events, with a smaller share.
    """
    wanted = Wanted(
        deliveries=tuple(deliveries or ()),
        event=event,
        destination=destination,
        instance=instance,
        event_type=event_type,
        route=route,
        since=since,
        until=until,
    )
    check_chosen(wanted, every=every)
    pace = _speed(speed)
    async with desk.stores() as stores:
        names = await _names(stores)
        which = filter_of(wanted, names, desk.now_ms())
        target = names.target_id(to)
        order = Order(Bulk.REPLAY, which, desk.who, destination_id=target, speed=pace)
        found = await _found(desk, stores, order)
        done = await _do(desk, stores, order, found, _replay_question(order, found), yes=yes)
    words = plural("{count} new delivery made.", "{count} new deliveries made.", done)
    _tell(desk, "replayed", found, done, words)


async def discard(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    deliveries: Ids = None,
    state: Annotated[
        Unfinished | None, typer.Option(help=_("Only in this state; without it, all three."))
    ] = None,
    event: Event = None,
    destination: Destination = None,
    instance: Instance = None,
    event_type: EventType = None,
    route: Route = None,
    failed_with: FailedWith = None,
    since: Since = None,
    until: Until = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help=_("Why; it is kept with each delivery."))
    ] = None,
    every: All = False,
    yes: Yes = False,
) -> None:
    """Give up deliveries that wait, or are dead letters.

    They are kept as discarded, with the reason, as long as their events. An attempt that is under
    way is not broken off: it may still succeed.
    """
    wanted = Wanted(
        deliveries=tuple(deliveries or ()),
        state=DeliveryState(state.value) if state else None,
        event=event,
        destination=destination,
        instance=instance,
        event_type=event_type,
        route=route,
        reason=failed_with,
        since=since,
        until=until,
    )
    check_chosen(wanted, every=every)
    why = (reason or f"discarded by {desk.who}")[:REASON_LETTERS_MAX]
    async with desk.stores() as stores:
        which = filter_of(wanted, await _names(stores), desk.now_ms())
        order = Order(Bulk.DISCARD, which, desk.who, reason=why)
        found = await _found(desk, stores, order)
        question = plural("Discard {count} delivery?", "Discard {count} deliveries?", found.count)
        done = await _do(desk, stores, order, found, question.format(count=found.count), yes=yes)
    words = plural("{count} delivery discarded.", "{count} deliveries discarded.", done)
    _tell(desk, "discarded", found, done, words)


def _speed(text: str | None) -> Speed | None:
    try:
        return speed_of(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None


def _replay_question(order: Order, found: Matches) -> str:
    """How many, and how long it will take.

    Raises:
        typer.BadParameter: it would take longer than a delivery may be put off.
    """
    question = plural(
        "Deliver {count} delivery again?", "Deliver {count} deliveries again?", found.count
    ).format(count=found.count)
    if order.speed is None or not found.count:
        return question
    try:
        took_ms = lasting_ms(order.speed, found)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    lasts = _("It will take {minutes} minutes.").format(minutes=f"{took_ms / 60_000:.1f}")
    return f"{lasts} {question}"


async def _names(stores: Stores) -> Names:
    async with deadline():
        return Names(await stores.ledger.fleet())


async def _found(desk: Desk, stores: Stores, order: Order) -> Matches:
    """What the order would take; what has no body any more is said."""
    async with deadline():
        found = await stores.ledger.matches(order.what, order.which)
    if found.bodiless:
        total = found.count + found.bodiless
        said = plural(
            "{count} of {total} has no body any more: it is kept as it is.",
            "{count} of {total} have no body any more: they are kept as they are.",
            found.bodiless,
        )
        desk.screen.note(said.format(count=found.bodiless, total=total))
    return found


async def _do(  # noqa: PLR0913  (what the commands have at hand)
    desk: Desk, stores: Stores, order: Order, found: Matches, question: str, *, yes: bool
) -> int:
    if not found.count:
        return 0
    desk.confirm(question, yes=yes)
    with bar(desk.screen, found.count) as show:
        return await carry_out(stores.ledger, order, found, desk.now_ms, _shown(show))


def _shown(show: Callable[[float, str], None]) -> Callable[[int], None]:
    return lambda done: show(done, "")


def _tell(desk: Desk, key: str, found: Matches, done: int, words: str) -> None:
    data = {"matched": found.count, key: done, "without_body": found.bodiless}
    desk.screen.result(data, words.format(count=done))
