"""From numbers to what is wrong. Pure; the thresholds are an operator's, with defaults."""

from collections.abc import Iterator, Mapping

import msgspec

from comporta.alerting.answers import Answered
from comporta.alerting.model import Finding, Kind, Severity
from comporta.domain.rhythm import Silence

MIB = 1024 * 1024
CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is too much."""

    failure_percent: float = 20.0
    """Of the attempts at a destination in ten minutes."""
    failure_attempts_min: int = 20
    """Of fewer attempts nothing follows."""
    attempt_s: float = 10.0
    """How long an attempt takes, on average over ten minutes."""
    lag_events: int = 10_000
    """In the log, not taken over."""
    waiting_s: float = 3600.0
    """Age of the oldest delivery that is still open."""
    dead_letters: int = 1
    refused_calls: int = 100
    """In five minutes."""
    late_percent: float = 1.0
    """Of the webhooks that a server answered in five minutes, after more than 2.5 s …"""
    late_min: int = 3
    """… if they were so many."""
    disk_days: float = 3.0
    disk_free_mib: int = 1024
    silence: bool = True
    silence_new_h: float = 72.0
    """For instances that are too new to have a rhythm."""


class Attempts(msgspec.Struct, frozen=True):
    """At one destination, lately."""

    count: int
    failed: int
    spent_ms: int


class Server(msgspec.Struct, frozen=True):
    """What a server says of itself."""

    free_bytes: int
    spooled: int = 0
    """Events in its spool; -1: it is in use, and nobody knows how many."""
    answered: Answered = Answered()
    """Webhooks, in five minutes."""


class Numbers(msgspec.Struct, frozen=True):
    """What is at hand. None: it could not be found out."""

    now_ms: int
    away: Mapping[str, str] = {}
    """Store → why it does not answer."""
    attempts: Mapping[str, Attempts] | None = None
    """By the destination's name."""
    breakers: Mapping[str, tuple[int, str]] | None = None
    """Destination's name → since when (Unix ms) not closed, and why."""
    lag: int | None = None
    oldest_open_at_ms: int | None = None
    """Unix milliseconds; 0: nothing is open."""
    dead: int | None = None
    refused: int | None = None
    """Calls in the last five minutes."""
    servers: Mapping[str, Server] | None = None
    days_left: float | None = None
    """Until the disk is full; inf: not in sight."""
    silences: Mapping[str, Silence] | None = None
    """By the instance's name."""
    notifiers: Mapping[str, str] = {}
    """That fail → why."""
    file: str = ""
    """What is wrong with the file of alerts."""


def unknown(numbers: Numbers) -> frozenset[Kind]:
    """What could not be looked at."""
    looked = {
        Kind.FAILING: numbers.attempts,
        Kind.SLOW: numbers.attempts,
        Kind.BREAKER: numbers.breakers,
        Kind.LAG: numbers.lag,
        Kind.WAITING: numbers.oldest_open_at_ms,
        Kind.DEAD: numbers.dead,
        Kind.REFUSED: numbers.refused,
        Kind.SPOOL: numbers.servers,
        Kind.LATE: numbers.servers,
        Kind.DISK: numbers.servers,
        Kind.SILENCE: numbers.silences,
    }
    return frozenset(kind for kind, value in looked.items() if value is None)


def findings(numbers: Numbers, rules: Rules) -> list[Finding]:
    """Everything that is wrong."""
    return [
        *_ours(numbers),
        *_destinations(numbers, rules),
        *_stored(numbers, rules),
        *_servers(numbers, rules),
        *_silences(numbers),
    ]


def _ours(numbers: Numbers) -> Iterator[Finding]:
    for store, why in numbers.away.items():
        yield Finding(Kind.STORE, store, CRITICAL, {"why": why})
    for name, why in numbers.notifiers.items():
        yield Finding(Kind.NOTIFIER, name, WARNING, {"why": why})
    if numbers.file:
        yield Finding(Kind.FILE, "", WARNING, {"why": numbers.file})


def _destinations(numbers: Numbers, rules: Rules) -> Iterator[Finding]:
    for name, one in (numbers.attempts or {}).items():
        if one.count < rules.failure_attempts_min:
            continue
        percent = 100 * one.failed / one.count
        if percent >= rules.failure_percent:
            yield Finding(Kind.FAILING, name, WARNING, {"percent": round(percent), "n": one.count})
        seconds = one.spent_ms / one.count / 1000
        if seconds >= rules.attempt_s:
            yield Finding(Kind.SLOW, name, WARNING, {"seconds": round(seconds, 1)})
    for name, (since_ms, why) in (numbers.breakers or {}).items():
        yield Finding(Kind.BREAKER, name, CRITICAL, {"since_ms": since_ms, "why": why})


def _stored(numbers: Numbers, rules: Rules) -> Iterator[Finding]:
    if numbers.lag is not None and numbers.lag >= rules.lag_events:
        yield Finding(Kind.LAG, "", CRITICAL, {"n": numbers.lag})
    if numbers.oldest_open_at_ms:
        age_s = (numbers.now_ms - numbers.oldest_open_at_ms) / 1000
        if age_s >= rules.waiting_s:
            yield Finding(Kind.WAITING, "", WARNING, {"since_ms": numbers.oldest_open_at_ms})
    if numbers.dead is not None and numbers.dead >= max(1, rules.dead_letters):
        yield Finding(Kind.DEAD, "", WARNING, {"n": numbers.dead})
    if numbers.refused is not None and numbers.refused >= max(1, rules.refused_calls):
        yield Finding(Kind.REFUSED, "", WARNING, {"n": numbers.refused})


def _servers(numbers: Numbers, rules: Rules) -> Iterator[Finding]:
    for name, one in (numbers.servers or {}).items():
        if one.spooled:
            yield Finding(Kind.SPOOL, name, CRITICAL, {})
        if one.free_bytes < rules.disk_free_mib * MIB:
            free = one.free_bytes // MIB
            yield Finding(Kind.DISK, name, CRITICAL, {"mib": free})
        late, count = one.answered.late, one.answered.count
        if late >= max(1, rules.late_min) and 100 * late >= rules.late_percent * count:
            yield Finding(Kind.LATE, name, CRITICAL, {"late": late, "n": count})
    if numbers.days_left is not None and numbers.days_left < rules.disk_days:
        yield Finding(Kind.DISK, "", WARNING, {"days": round(numbers.days_left, 1)})


def _silences(numbers: Numbers) -> Iterator[Finding]:
    for name, one in (numbers.silences or {}).items():
        yield Finding(Kind.SILENCE, name, WARNING, {"since_ms": one.since_ms})
