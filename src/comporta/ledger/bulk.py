"""A change to many deliveries, from its record to its last step: one way for all who ask for one.

It knows the ledger's port only. A step is a short transaction, so dispatch goes on meanwhile; the
record is made first and counts along, so it tells the truth however the change ends.
"""

from collections.abc import Callable, Mapping

import msgspec

from comporta.domain.pace import Pace, Speed, show_speed
from comporta.ledger.port import Bulk, BulkSteps, DeliveryFilter, Matches, Operation, Step

STEP_MAX = 500
"""Deliveries in one step: no transaction grows with the backlog."""

LEAD_MS = 1_000
"""From a paced replay's order to its first delivery: by then its owners know of it."""


class Order(msgspec.Struct, frozen=True):
    """What somebody wants done to which deliveries."""

    what: Bulk
    which: DeliveryFilter
    who: str
    reason: str = ""
    """Of a discard."""
    destination_id: str | None = None
    """Where a replay goes, if not to where the deliveries went."""
    speed: Speed | None = None
    """Of a replay; None: at once."""


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far an order is: all that the next step needs beside the order."""

    operation_id: int
    count: int
    """Deliveries that it is to take at the most."""
    started_at_ms: int
    first_at_ms: int
    done: int = 0
    after_id: int = 0
    ended: bool = False


async def begin(ledger: BulkSteps, order: Order, found: Matches, now_ms: int) -> Progress:
    """Put an order on record; what was found is what it takes, even if new matches keep coming.

    Raises:
        StoreError: the ledger cannot be written to.
    """
    record = Operation(now_ms, order.who, order.what.value, described(order))
    number = await ledger.note(record)
    return Progress(number, found.count, now_ms, found.first_at_ms, ended=not found.count)


async def advance(
    ledger: BulkSteps, order: Order, progress: Progress, limit: int, now_ms: int
) -> Progress:
    """One step of it, of at most `limit` deliveries.

    Raises:
        StoreError: the ledger cannot be written to. What was done stays done.
    """
    limit = min(limit, progress.count - progress.done)
    after_id = progress.after_id or None
    which = msgspec.structs.replace(order.which, limit=limit, after_id=after_id)
    pace = None
    if order.speed is not None:
        start_at_ms = progress.started_at_ms + LEAD_MS
        pace = Pace(order.speed, start_at_ms, progress.first_at_ms, progress.done)
    step = await _step(ledger, order, which, now_ms, pace, progress.operation_id)
    done = progress.done + step.done
    return msgspec.structs.replace(
        progress,
        done=done,
        after_id=step.last_id or progress.after_id,
        ended=not step.last_id or done >= progress.count,
    )


async def carry_out(
    ledger: BulkSteps,
    order: Order,
    found: Matches,
    now_ms: Callable[[], int],
    show: Callable[[int], None] = lambda _done: None,
) -> int:
    """Do it to what was found, step by step; how many it took.

    Args:
        ledger: whose deliveries.
        order: what to do.
        found: what `ledger.matches` said of it.
        now_ms: the clock, Unix milliseconds.
        show: called after each step with how many are done.

    Raises:
        StoreError: the ledger cannot be written to. What was done stays done.
    """
    progress = await begin(ledger, order, found, now_ms())
    while not progress.ended:
        progress = await advance(ledger, order, progress, STEP_MAX, now_ms())
        show(progress.done)
    return progress.done


async def _step(  # noqa: PLR0913, PLR0917  (what `carry_out` has at hand)
    ledger: BulkSteps,
    order: Order,
    which: DeliveryFilter,
    now_ms: int,
    pace: Pace | None,
    number: int,
) -> Step:
    if order.what is Bulk.REDRIVE:
        return await ledger.redrive(which, now_ms, number)
    if order.what is Bulk.DISCARD:
        return await ledger.discard(which, now_ms, order.reason, number)
    return await ledger.replay(which, now_ms, order.destination_id, pace, number)


def described(order: Order) -> dict[str, object]:
    """The order as it is kept on record: the filter, and what else was asked for."""
    more: Mapping[str, object] = {
        "because": order.reason,
        "to": order.destination_id,
        "speed": show_speed(order.speed) if order.speed else None,
    }
    which = msgspec.structs.replace(order.which, before_id=None, after_id=None, limit=50)
    kept: dict[str, object] = msgspec.to_builtins(which)
    return kept | {name: value for name, value in more.items() if value}
