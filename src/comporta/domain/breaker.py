"""The circuit breaker of a destination: closed, open, half-open. Values and what follows from what.

It opens when *everything* fails, for that is an outage and not a poisonous event. Open means
deferred: no attempt is spent, lanes wait. After a while a few probes go out; one that succeeds
disproves the outage and closes it, one that fails opens it again, for longer.
"""

from enum import StrEnum

import msgspec


class BreakerState(StrEnum):
    """Closed: deliveries flow. Open: they wait. Half-open: a few go out to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


FAILURES = 5
"""Attempts in a row that must fail for it to open …"""
LANES = 2
"""… of this many lanes at least: one conversation that fails alone proves nothing."""
PROBES = 3
"""Attempts at a time, over all workers, while it is half-open."""
OPEN_S = 5.0
OPEN_S_MAX = 60.0
"""It is open this long at first, doubling with each failed probe up to the maximum."""
PROBE_S = 150.0
"""After this time a probe that nobody reported is taken for lost; longer than any timeout."""
_REASON_CHARS = 300


class Breaker(msgspec.Struct, frozen=True):
    """One breaker, as all workers share it. Times are Unix milliseconds."""

    state: BreakerState = BreakerState.CLOSED
    since_ms: int = 0
    """When it got into this state."""
    until_ms: int = 0
    """Open: when probes may go out. Half-open: when probes that were not reported are given up."""
    trips: int = 0
    """How often it has opened since it was last closed."""
    probes: int = 0
    """Given out and not reported yet."""
    reason: str = ""
    """What the last failure was, in words."""


CLOSED = Breaker()


def tripped(breaker: Breaker, now_ms: int, reason: str, hold_s: float = 0.0) -> Breaker:
    """Everything fails: open, unless it is.

    Args:
        breaker: as it was.
        now_ms: Unix milliseconds.
        reason: the last failure, in words.
        hold_s: how long the destination asked to be left alone (`Retry-After`); bounded.
    """
    if breaker.state is BreakerState.OPEN:
        return breaker
    wait_s = min(OPEN_S_MAX, max(hold_s, OPEN_S * 2 ** min(breaker.trips, 10)))
    return Breaker(
        state=BreakerState.OPEN,
        since_ms=now_ms,
        until_ms=now_ms + int(wait_s * 1000),
        trips=breaker.trips + 1,
        reason=reason[:_REASON_CHARS],
    )


def probing(breaker: Breaker, now_ms: int) -> tuple[Breaker, bool]:
    """The breaker after somebody asked for a probe, and whether it may go out."""
    if breaker.state is BreakerState.CLOSED:
        return breaker, True
    # An end far ahead was set before the clock was set back.
    over = not now_ms < breaker.until_ms <= now_ms + int(PROBE_S * 1000)
    if breaker.state is BreakerState.OPEN or over:
        if not over:
            return breaker, False
        return _half_open(breaker, now_ms, 1), True
    if breaker.probes >= PROBES:
        return breaker, False
    return _half_open(breaker, now_ms, breaker.probes + 1), True


def _half_open(breaker: Breaker, now_ms: int, probes: int) -> Breaker:
    return msgspec.structs.replace(
        breaker,
        state=BreakerState.HALF_OPEN,
        since_ms=breaker.since_ms if breaker.state is BreakerState.HALF_OPEN else now_ms,
        until_ms=now_ms + int(PROBE_S * 1000),
        probes=probes,
    )


def probed(
    breaker: Breaker, now_ms: int, *, success: bool, reason: str = "", hold_s: float = 0.0
) -> Breaker:
    """The breaker after a probe came to its end."""
    return CLOSED if success else tripped(breaker, now_ms, reason, hold_s)


class Streak:
    """The failures in a row that one worker has seen at one destination."""

    def __init__(self) -> None:
        self.failures = 0
        self.passed_at_ms = 0
        """When an attempt last succeeded, Unix milliseconds; 0: not since the start."""
        self._lanes: set[int] = set()

    def success(self, now_ms: int) -> None:
        """An attempt succeeded."""
        self.failures, self.passed_at_ms = 0, now_ms
        self._lanes.clear()

    def failure(self, lane: int) -> bool:
        """An attempt for this lane failed. True: everything does, the breaker is to open."""
        self.failures += 1
        if len(self._lanes) < LANES:
            self._lanes.add(lane)
        return self.failures >= FAILURES and len(self._lanes) >= LANES
