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
QUIET_S = 3.0
"""… and nothing has succeeded for this long."""
COMPANY_S = 600.0
"""An instance whose events went there within this time counts as being there."""
PROBES = 3
"""Attempts at a time, over all workers, while it is half-open."""
OPEN_S = 5.0
OPEN_S_MAX = 60.0
"""It is open this long at first, doubling with each failed probe up to the maximum."""
PROBE_S_MAX = 150.0
"""For so long a probe that nobody reports may be under way; longer than any timeout."""
PROBE_MARGIN_S = 5.0
"""Beyond its timeout; then it is taken for lost, as its worker may be."""
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


def probing(breaker: Breaker, now_ms: int, timeout_s: float) -> tuple[Breaker, bool]:
    """The breaker after somebody asked for a probe, and whether it may go out.

    Args:
        breaker: as it was.
        now_ms: Unix milliseconds.
        timeout_s: how long the probe may take, seconds.
    """
    if breaker.state is BreakerState.CLOSED:
        return breaker, True
    # An end far ahead was set before the clock was set back.
    over = not now_ms < breaker.until_ms <= now_ms + int(PROBE_S_MAX * 1000)
    if breaker.state is BreakerState.OPEN or over:
        if not over:
            return breaker, False
        return _half_open(breaker, now_ms, timeout_s, 1), True
    if breaker.probes >= PROBES:
        return breaker, False
    return _half_open(breaker, now_ms, timeout_s, breaker.probes + 1), True


def _half_open(breaker: Breaker, now_ms: int, timeout_s: float, probes: int) -> Breaker:
    lasts_s = min(PROBE_S_MAX, timeout_s + PROBE_MARGIN_S)
    return msgspec.structs.replace(
        breaker,
        state=BreakerState.HALF_OPEN,
        since_ms=breaker.since_ms if breaker.state is BreakerState.HALF_OPEN else now_ms,
        until_ms=now_ms + int(lasts_s * 1000),
        probes=probes,
    )


def probed(
    breaker: Breaker, now_ms: int, *, success: bool, reason: str = "", hold_s: float = 0.0
) -> Breaker:
    """The breaker after a probe came to its end.

    A probe that fails after another one has closed it is late, and no proof: one of them hung until
    its timeout, say, while the destination came back.
    """
    if success or breaker.state is BreakerState.CLOSED:
        return CLOSED
    return tripped(breaker, now_ms, reason, hold_s)


class Streak:
    """What one worker has seen of one destination: does everything fail there?

    One conversation or one instance may be alone with its trouble, and what has just worked for
    somebody works. So it takes first attempts, in a row, of several lanes, of more than one
    instance if more than one has been there lately, and a while. A retry that fails says nothing
    new, but that it still fails: soon nothing else may be left, since what waits behind it is not
    tried.
    """

    def __init__(self) -> None:
        self.passed_at_ms = 0
        """When an attempt last succeeded, Unix milliseconds; 0: not since the start."""
        self._failures = 0
        self._lanes: set[int] = set()
        self._failing: set[str] = set()
        self._seen_at_ms: dict[str, int] = {}

    def success(self, instance_id: str, now_ms: int) -> None:
        """An attempt succeeded."""
        self._seen_at_ms[instance_id] = self.passed_at_ms = now_ms
        self.forget()

    def forget(self) -> None:
        """The failures so far do not count any more."""
        self._failures = 0
        self._lanes.clear()
        self._failing.clear()

    def failure(self, lane: int, instance_id: str, now_ms: int, *, first: bool = True) -> bool:
        """An attempt failed, a `first` one or a retry. True: everything does, it is to open."""
        self._seen_at_ms[instance_id] = now_ms
        self._failing.add(instance_id)
        self._failures += first
        if first and len(self._lanes) < LANES:
            self._lanes.add(lane)
        if self._failures < FAILURES or len(self._lanes) < LANES:
            return False
        return now_ms - self.passed_at_ms >= QUIET_S * 1000 and not self._alone(now_ms)

    def _alone(self, now_ms: int) -> bool:
        """One instance fails, and others were there lately, for whom it may work."""
        since_ms = now_ms - int(COMPANY_S * 1000)
        for instance_id in [one for one, at_ms in self._seen_at_ms.items() if at_ms < since_ms]:
            del self._seen_at_ms[instance_id]
        return len(self._failing) == 1 and len(self._seen_at_ms) > 1
