"""A change to many deliveries, from its record to its last step: one way for all who ask for one.

It knows the ledger's port only. A step is a short transaction, so dispatch goes on meanwhile; the
record is made first and counts along, so it tells the truth however the change ends.
"""

from collections.abc import Callable, Mapping

import msgspec

from comporta.domain.pace import Pace, Speed
from comporta.ledger.port import Bulk, DeliveryFilter, Ledger, Matches, Operation, Step

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


async def carry_out(
    ledger: Ledger,
    order: Order,
    found: Matches,
    now_ms: Callable[[], int],
    show: Callable[[int], None] = lambda _done: None,
) -> int:
    """Do it to what was found, and to no more even if new matches keep coming; how many it took.

    Args:
        ledger: whose deliveries.
        order: what to do.
        found: what `ledger.matches` said of it.
        now_ms: the clock, Unix milliseconds.
        show: called after each step with how many are done.

    Raises:
        StoreError: the ledger cannot be written to. What was done stays done.
    """
    began_at_ms = now_ms()
    record = Operation(began_at_ms, order.who, order.what.value, described(order))
    number = await ledger.note(record)
    pace = Pace(order.speed, began_at_ms + LEAD_MS, found.first_at_ms) if order.speed else None
    done, after_id = 0, None
    while done < found.count:
        limit = min(STEP_MAX, found.count - done)
        which = msgspec.structs.replace(order.which, limit=limit, after_id=after_id)
        here = msgspec.structs.replace(pace, position=done) if pace else None
        step = await _step(ledger, order, which, now_ms(), here, number)
        if not step.last_id:
            break
        done, after_id = done + step.done, step.last_id
        show(done)
    return done


async def _step(  # noqa: PLR0913, PLR0917  (what `carry_out` has at hand)
    ledger: Ledger,
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
        "speed": msgspec.to_builtins(order.speed) if order.speed else None,
    }
    which = msgspec.structs.replace(order.which, before_id=None, after_id=None, limit=50)
    kept: dict[str, object] = msgspec.to_builtins(which)
    return kept | {name: value for name, value in more.items() if value}
