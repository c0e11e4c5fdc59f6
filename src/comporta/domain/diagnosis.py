"""Is it them or us: what the numbers of one instance's last minutes say. Pure.

An event's way has four parts, and each has its own measure: Chatwoot makes it and sends it (by
Chatwoot's clock alone), it travels, we take it in and over, a destination takes it. What was lost
or is not delivered counts more than what was late; among equals, what is furthest over its limit.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

SENDER_LATE_S = 10.0
"""Between making an event and sending it, the median."""
WAY_LATE_S = 3.0
"""On the way, beyond the quickest; Chatwoot gives up after 5 s."""
ANSWER_LATE_S = 2.5
"""Half of what Chatwoot waits for."""
TAKEN_LATE_S = 5.0
BEHIND_ENTRIES = 10_000
WAITING_LATE_S = 30.0
"""Before the first attempt at a destination that is well."""
SLOW_S = 2.0
"""An attempt, 95 of 100."""
FAILING = 0.2
"""Of all attempts."""
CLOCKS_S = 30.0
"""Between their clock and ours; signatures bear 300 s."""


class Cause(StrEnum):
    """Where to look."""

    SENDER = "sender"
    NETWORK = "network"
    US = "us"
    DESTINATION = "destination"
    QUIET = "quiet"
    """Nothing came in, and nothing says why: perhaps nobody wrote."""
    NOTHING = "nothing"
    """Nothing is wrong."""


class Sign(StrEnum):
    """What was found."""

    REFUSED_THEIRS = "refused_theirs"
    """Calls that cannot be accepted as they are: signature, form, size."""
    REFUSED_OURS = "refused_ours"
    """Calls that were put off: no room, or a store that fails."""
    CUT_OFF = "cut_off"
    """Calls that did not arrive whole."""
    SENT_LATE = "sent_late"
    TRAVELLED_LATE = "travelled_late"
    ANSWERED_LATE = "answered_late"
    TAKEN_OVER_LATE = "taken_over_late"
    LOG_BEHIND = "log_behind"
    NO_WORKERS = "no_workers"
    STARTED_LATE = "started_late"
    """Deliveries wait for their first attempt, though their destination is well."""
    BREAKER = "breaker"
    PAUSED = "paused"
    FAILING = "failing"
    SLOW = "slow"
    DEAD = "dead"
    CLOCKS = "clocks"
    """Their clock and ours differ: not wrong by itself, but signatures depend on it."""


class Measure(msgspec.Struct, frozen=True):
    """How long something took, seconds, of `count` that were looked at."""

    count: int
    least_s: float
    p50_s: float
    p95_s: float
    most_s: float


class Refusals(msgspec.Struct, frozen=True):
    """Calls that were refused alike."""

    status: int
    reason: str
    count: int
    last_at_ms: int


class Receiver(msgspec.Struct, frozen=True):
    """How one destination did with this instance's deliveries."""

    destination: str
    attempts: int = 0
    """Those that were looked at."""
    failed: int = 0
    last_failure: str = ""
    took: Measure | None = None
    dead: int = 0
    """In the window."""
    open: int = 0
    """Of any time; at least so many."""
    untried_s: float = 0.0
    """The oldest delivery that was never tried, its age."""
    breaker: str = ""
    """Its state, if it is not closed."""
    paused: str = ""
    """Why, if it is."""


class Numbers(msgspec.Struct, frozen=True):
    """What is known. None: it could not be asked, or there is nothing to measure."""

    window_s: float
    events: int = 0
    """Accepted in the window; at least so many."""
    last_event_at_ms: int | None = None
    """Of any time, Unix milliseconds."""
    sending: Measure | None = None
    """From Chatwoot's making an event to its sending it."""
    sending_with_way: bool = False
    """Chatwoot did not say when it sent: `sending` has the way in it, and both clocks."""
    way: Measure | None = None
    """From Chatwoot's sending to our accepting; with the difference of the clocks in it."""
    answer_p99_s: float | None = None
    """Of this server, all instances, since its start."""
    taking: Measure | None = None
    """From accepting to taking over from the log."""
    log_lag: int | None = None
    """Entries of all instances in the log that are not taken over."""
    workers: int | None = None
    """Those that dispatch."""
    refusals: tuple[Refusals, ...] = ()
    receivers: tuple[Receiver, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """Something that is beyond its limit."""

    cause: Cause
    sign: Sign
    value: float
    """What was measured: seconds, a count, or a part of one."""
    limit: float
    lost: bool = False
    """Events are refused, or not delivered; otherwise they are late."""
    destination: str = ""
    detail: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """Where to look, and all that was found, the worst first."""

    cause: Cause
    findings: tuple[Finding, ...]


def measure(values_s: Sequence[float]) -> Measure | None:
    """The measure of these durations, seconds; None of none."""
    if not values_s:
        return None
    ranked = sorted(values_s)
    last = len(ranked) - 1
    return Measure(
        len(ranked), ranked[0], ranked[round(last * 0.5)], ranked[round(last * 0.95)], ranked[last]
    )


def diagnose(numbers: Numbers) -> Diagnosis:
    """Where to look first for what is wrong with an instance."""
    found = [one for one in _all(numbers) if one.value > one.limit]
    ranked = tuple(sorted(found, key=_rank, reverse=True))
    blamed = [one.cause for one in ranked if one.sign is not Sign.CLOCKS]
    if blamed:
        return Diagnosis(blamed[0], ranked)
    return Diagnosis(Cause.NOTHING if numbers.events else Cause.QUIET, ranked)


def _rank(finding: Finding) -> tuple[bool, float]:
    return finding.lost, finding.value / finding.limit if finding.limit else finding.value


def _all(numbers: Numbers) -> Iterator[Finding]:
    yield from _refused(numbers.refusals)
    yield from _coming(numbers)
    yield from _ours(numbers)
    for receiver in numbers.receivers:
        yield from _received(receiver)


def _refused(refusals: Sequence[Refusals]) -> Iterator[Finding]:
    for one in refusals:
        match one.status:
            case 408:
                cause, sign = Cause.NETWORK, Sign.CUT_OFF
            case 421 | 429 | 503:
                cause, sign = Cause.US, Sign.REFUSED_OURS
            case _:
                cause, sign = Cause.SENDER, Sign.REFUSED_THEIRS
        yield Finding(cause, sign, one.count, 0, lost=True, detail=one.reason)


def _coming(numbers: Numbers) -> Iterator[Finding]:
    if numbers.sending is not None:
        late_s = numbers.sending.p50_s
        yield Finding(Cause.SENDER, Sign.SENT_LATE, late_s, SENDER_LATE_S)
    if numbers.way is not None:
        # The quickest one tells by how much the clocks differ; what is beyond was on the way.
        clocks_s, late_s = numbers.way.least_s, numbers.way.p95_s - numbers.way.least_s
        yield Finding(Cause.NETWORK, Sign.TRAVELLED_LATE, late_s, WAY_LATE_S)
        yield Finding(Cause.SENDER, Sign.CLOCKS, abs(clocks_s), CLOCKS_S)


def _ours(numbers: Numbers) -> Iterator[Finding]:
    if numbers.answer_p99_s is not None:
        yield Finding(Cause.US, Sign.ANSWERED_LATE, numbers.answer_p99_s, ANSWER_LATE_S)
    if numbers.taking is not None:
        yield Finding(Cause.US, Sign.TAKEN_OVER_LATE, numbers.taking.p95_s, TAKEN_LATE_S)
    if numbers.log_lag is not None:
        yield Finding(Cause.US, Sign.LOG_BEHIND, numbers.log_lag, BEHIND_ENTRIES)
    if numbers.workers == 0:
        yield Finding(Cause.US, Sign.NO_WORKERS, 1, 0, lost=True)


def _received(one: Receiver) -> Iterator[Finding]:
    found = [
        Finding(Cause.DESTINATION, Sign.PAUSED, bool(one.paused), 0, lost=True, detail=one.paused),
        Finding(
            Cause.DESTINATION, Sign.BREAKER, bool(one.breaker), 0, lost=True, detail=one.breaker
        ),
        Finding(
            Cause.DESTINATION,
            Sign.FAILING,
            one.failed / one.attempts if one.attempts else 0.0,
            FAILING,
            lost=True,
            detail=one.last_failure,
        ),
        Finding(Cause.DESTINATION, Sign.DEAD, one.dead, 0, lost=True, detail=one.last_failure),
        Finding(Cause.DESTINATION, Sign.SLOW, one.took.p95_s if one.took else 0.0, SLOW_S),
    ]
    if all(each.value <= each.limit for each in found):
        found.append(Finding(Cause.US, Sign.STARTED_LATE, one.untried_s, WAITING_LATE_S))
    for each in found:
        yield msgspec.structs.replace(each, destination=one.destination)
