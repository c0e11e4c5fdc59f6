"""A delivery, the result of one attempt at it, and what follows from that result."""

from enum import StrEnum

import msgspec

from comporta.domain.backoff import next_wait_s
from comporta.domain.classes import EventClass
from comporta.domain.event import Headers


class DeliveryState(StrEnum):
    """Pending: never tried or in its lane's queue. Scheduled: waits for `due_at_ms`."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    DELIVERED = "delivered"
    DEAD = "dead"
    DISCARDED = "discarded"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """The obligation to bring one event to one destination, with all that an attempt needs."""

    id: int
    event_id: int
    destination_id: str
    partition: int
    lane: int
    attempts: int
    """Made so far."""
    due_at_ms: int
    """Unix milliseconds; 0: at once."""
    instance_id: str
    event_type: str
    accepted_at_ms: int
    """Of the event, Unix milliseconds."""
    headers: Headers
    body: bytes
    event_class: EventClass = EventClass.ORDERED
    tried_at_ms: int = 0
    """When the first attempt of the present run of the schedule began; 0: not tried yet."""


class Ending(StrEnum):
    """What an attempt says by itself, where no HTTP status says it."""

    DONE = "done"
    PASSING = "passing"
    """It failed, and may succeed later."""
    POISON = "poison"
    """It failed because of this very event, and would fail again."""
    DROPPED = "dropped"
    """The receiver does not want it."""


class AttemptResult(msgspec.Struct, frozen=True, gc=False):
    """What one try brought.

    `status` is None when there was no HTTP answer; then `error` says why, in words.
    """

    started_at_ms: int
    duration_ms: float
    status: int | None = None
    error: str = ""
    retry_after_s: float | None = None
    response: bytes = b""
    """The first 20 kB of the answer's body, or of the traceback of what failed on the way."""
    ending: Ending | None = None
    """None: the status tells."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What becomes of the delivery after an attempt."""

    state: DeliveryState
    due_at_ms: int = 0
    reason: str = ""
    gone: bool = False
    """The destination answered 410: it wants nothing any more."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """A delivery, its latest attempt and the verdict: one row of work for the ledger."""

    delivery: Delivery
    result: AttemptResult
    verdict: Verdict


GONE = 410
SUCCESS = 2
"""Hundreds of a status."""


def judge(result: AttemptResult, attempts: int, waits_s: tuple[float, ...], draw: float) -> Verdict:
    """Decide what follows from an attempt.

    Args:
        result: of the latest attempt.
        attempts: made so far, this one included.
        waits_s: the destination's retry schedule, seconds.
        draw: a random number for the jitter, 0 ≤ draw < 1.
    """
    if result.status is not None and result.status // 100 == SUCCESS:
        return Verdict(DeliveryState.DELIVERED)
    if result.status == GONE:
        # Kept open, not dead: a person decides whether the destination comes back.
        return Verdict(DeliveryState.PENDING, reason="HTTP 410", gone=True)
    reason = result.error or f"HTTP {result.status}"
    wait_s = next_wait_s(waits_s, attempts, draw, result.retry_after_s)
    if wait_s is None:
        return Verdict(DeliveryState.DEAD, reason=reason)
    ended_at_ms = result.started_at_ms + int(result.duration_ms)
    return Verdict(DeliveryState.SCHEDULED, ended_at_ms + int(wait_s * 1000), reason)
