"""A delivery, the result of one attempt at it, and what follows from that result."""

from enum import StrEnum

import msgspec

from comporta.domain.backoff import WAIT_S_MIN, next_wait_s
from comporta.domain.classes import EventClass
from comporta.domain.event import Headers

GONE = 410
SUCCESS = 2
"""Hundreds of a status."""


class DeliveryState(StrEnum):
    """Pending: never tried or in its lane's queue. Scheduled: waits for `due_at_ms`."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    DELIVERED = "delivered"
    DEAD = "dead"
    DISCARDED = "discarded"

    @property
    def ended(self) -> bool:
        """Nothing is owed any more."""
        return self not in {DeliveryState.PENDING, DeliveryState.SCHEDULED}


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
    sent: bool = True
    """False: nothing went out, so it says nothing about the destination."""

    @property
    def succeeded(self) -> bool:
        """Whether the delivery was brought."""
        if self.ending is not None:
            return self.ending is Ending.DONE
        return self.status is not None and self.status // 100 == SUCCESS

    @property
    def reason(self) -> str:
        """Why it was not, in words."""
        return self.error or f"HTTP {self.status}"

    @property
    def ended_at_ms(self) -> int:
        """Unix milliseconds."""
        return self.started_at_ms + int(self.duration_ms)


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What becomes of the delivery after an attempt."""

    state: DeliveryState
    due_at_ms: int = 0
    reason: str = ""
    gone: bool = False
    """The destination answered 410: it wants nothing any more."""
    counts: bool = True
    """The attempt uses up one of the retry schedule."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """A delivery, its latest attempt and the verdict: one row of work for the ledger."""

    delivery: Delivery
    result: AttemptResult
    verdict: Verdict


class Patience(msgspec.Struct, frozen=True, gc=False):
    """How long a destination is tried for one delivery."""

    waits_s: tuple[float, ...]
    """The retry schedule: seconds to wait before attempt 2, 3, …"""
    park_s: float
    """How long a lane may be held up, seconds, while the destination works for others."""


class Climate(msgspec.Struct, frozen=True, gc=False):
    """How the destination fares otherwise."""

    outage: bool = False
    """Everything fails there: its breaker is not closed."""
    passed_at_ms: int = 0
    """When an attempt at it last succeeded, Unix milliseconds; 0: unknown."""


def judge(
    delivery: Delivery, result: AttemptResult, patience: Patience, climate: Climate, draw: float
) -> Verdict:
    """Decide what follows from an attempt.

    Nothing is dead-lettered before its schedule has ended because of an outage. What is given up
    early, a poisonous event or the head of a lane that waits too long, is given up only if the
    destination has worked for others since it was first tried.

    Args:
        delivery: as it was before the attempt.
        result: of the attempt.
        patience: the destination's.
        climate: how the destination fares otherwise.
        draw: a random number for the jitter, 0 ≤ draw < 1.
    """
    if result.succeeded:
        return Verdict(DeliveryState.DELIVERED)
    if result.ending is Ending.DROPPED:
        return Verdict(DeliveryState.DISCARDED, reason=result.error)
    if result.status == GONE:
        # Kept open, not dead: a person decides whether the destination comes back.
        return Verdict(DeliveryState.PENDING, reason="HTTP 410", gone=True)
    others_pass = not climate.outage and climate.passed_at_ms > delivery.tried_at_ms
    if delivery.tried_at_ms and others_pass:
        if result.ending is Ending.POISON:
            return Verdict(DeliveryState.DEAD, reason=result.reason)
        if result.ended_at_ms - delivery.tried_at_ms >= patience.park_s * 1000:
            said = f"held up its lane too long: {result.reason}"
            return Verdict(DeliveryState.DEAD, reason=said)
    return _try_again(delivery, result, patience, climate, draw)


def _try_again(
    delivery: Delivery, result: AttemptResult, patience: Patience, climate: Climate, draw: float
) -> Verdict:
    tried_at_ms = delivery.tried_at_ms or result.started_at_ms
    attempts = delivery.attempts + 1
    if climate.outage:
        # What fails with everything else uses up time, and no attempt.
        if result.ended_at_ms - tried_at_ms >= sum(patience.waits_s) * 1000:
            return Verdict(DeliveryState.DEAD, reason=result.reason)
        attempts = min(attempts, max(1, len(patience.waits_s)))
    wait_s = next_wait_s(patience.waits_s, attempts, draw, result.retry_after_s)
    if wait_s is None:
        return Verdict(DeliveryState.DEAD, reason=result.reason)
    # The lane's patience may end before the wait: it is looked at again then.
    park_at_ms = tried_at_ms + int(patience.park_s * 1000)
    due_at_ms = result.ended_at_ms + int(wait_s * 1000)
    soonest_ms = result.ended_at_ms + WAIT_S_MIN * 1000
    if result.retry_after_s is None and soonest_ms < park_at_ms < due_at_ms:
        due_at_ms = park_at_ms
    return Verdict(DeliveryState.SCHEDULED, due_at_ms, result.reason, counts=not climate.outage)
