"""How alerts open and end, and what each notifier is to be told of them. Pure.

Found → open, once it has been found for a while → acknowledged by a person → resolved, once it has
not been found for a while. A notifier is told of what it has not been told, so what could not be
sent is sent later, and nothing is told twice but after a restart in the wrong moment.
"""

from collections.abc import Callable, Sequence

import msgspec

from comporta.alerting.model import Alert, Finding, Kind, Notice, Severity

HOLD_MS = {
    Kind.LAG: 120_000,
    Kind.WAITING: 0,
    Kind.BREAKER: 60_000,
    Kind.STORE: 30_000,
    Kind.SPOOL: 60_000,
    Kind.LATE: 60_000,
}
HOLD_MS_ELSE = 0
"""So long something has to be found before it is an alert."""
CALM_MS = 120_000
"""So long it must not be found before it is over: what comes and goes is one alert."""
KEPT_MS = 7 * 86_400_000
ALERTS_MAX = 500
"""That are kept; the oldest that are over go first, and what is found beyond is not taken."""


class Cadence(msgspec.Struct, frozen=True):
    """When people are told."""

    group_ms: int
    """What begins within this time is told at once."""
    repeat_ms: int
    """After this an open alert is told again, unless it was acknowledged."""
    quiet: Callable[[Severity, int], bool]
    """Whether it is quiet hours for a severity at a moment (Unix ms)."""


def step(
    alerts: Sequence[Alert], findings: Sequence[Finding], unknown: frozenset[Kind], now_ms: int
) -> list[Alert]:
    """The alerts after a look.

    Args:
        alerts: before.
        findings: what is wrong now.
        unknown: what could not be looked at: its alerts stay as they are.
        now_ms: Unix milliseconds.
    """
    found = {one.name: one for one in findings}
    live = {one.name: one for one in alerts if not one.resolved_at_ms}
    after = [_again(one, found.get(name), unknown, now_ms) for name, one in live.items()]
    kept = [one for one in after if one is not None]
    fresh = [
        _opened(Alert(one, now_ms, now_ms), now_ms)
        for name, one in found.items()
        if name not in live
    ]
    over = [one for one in alerts if one.resolved_at_ms and now_ms - one.resolved_at_ms < KEPT_MS]
    room = max(0, ALERTS_MAX - len(kept))
    kept += fresh[:room]
    return over[len(over) - max(0, min(len(over), ALERTS_MAX - len(kept))) :] + kept


def acknowledged(alerts: Sequence[Alert], name: str, who: str, now_ms: int) -> list[Alert] | None:
    """The alerts once a person has acknowledged one; None if no such alert is open."""
    if not any(one.is_open and one.name == name for one in alerts):
        return None
    change = msgspec.structs.replace
    return [
        change(one, acked_at_ms=one.acked_at_ms or now_ms, acked_by=one.acked_by or who)
        if one.is_open and one.name == name
        else one
        for one in alerts
    ]


def due(alerts: Sequence[Alert], notifier: str, cadence: Cadence, now_ms: int) -> Notice | None:
    """What a notifier is to be told now; None: nothing.

    Args:
        alerts: all.
        notifier: its name. It is not told of its own failure.
        cadence: see there.
        now_ms: Unix milliseconds.
    """
    mine = [
        one
        for one in alerts
        if one.opened_at_ms
        and (one.finding.kind, one.finding.subject) != (Kind.NOTIFIER, notifier)
        and not cadence.quiet(one.finding.severity, now_ms)
    ]
    opened = [one for one in mine if one.is_open and notifier not in one.told]
    if opened and now_ms - min(one.opened_at_ms for one in opened) < cadence.group_ms:
        opened = []
    open_still = [
        one for one in mine if one.is_open and notifier in one.told and not one.acked_at_ms
    ]
    again = [one for one in open_still if now_ms - one.told[notifier] >= cadence.repeat_ms]
    resolved = [
        one
        for one in mine
        if one.resolved_at_ms and notifier in one.told and notifier not in one.ended
    ]
    if not (opened or again or resolved):
        return None
    # Who is reminded of one is reminded of all, and then for a while of none.
    return Notice(tuple(opened), tuple(open_still if again else ()), tuple(resolved))


def told(alerts: Sequence[Alert], notifier: str, notice: Notice, now_ms: int) -> list[Alert]:
    """The alerts once a notifier has been told."""
    of_open = {one.name for one in (*notice.opened, *notice.again)}
    of_ended = {(one.name, one.opened_at_ms) for one in notice.resolved}
    return [_told(one, notifier, of_open, of_ended, now_ms) for one in alerts]


def merged(stored: Sequence[Alert], ours: Sequence[Alert]) -> list[Alert]:
    """Ours, with what people have acknowledged in the stored ones meanwhile."""
    acks = {(a.name, a.opened_at_ms): (a.acked_at_ms, a.acked_by) for a in stored if a.acked_at_ms}
    return [
        msgspec.structs.replace(one, acked_at_ms=ack[0], acked_by=ack[1])
        if (ack := acks.get((one.name, one.opened_at_ms))) and not one.acked_at_ms
        else one
        for one in ours
    ]


def _again(
    one: Alert, finding: Finding | None, unknown: frozenset[Kind], now_ms: int
) -> Alert | None:
    change = msgspec.structs.replace
    if finding is not None:
        return _opened(change(one, finding=finding, found_at_ms=now_ms), now_ms)
    if one.finding.kind in unknown:
        return change(one, found_at_ms=now_ms)
    if not one.opened_at_ms:
        return None
    over = now_ms - one.found_at_ms >= CALM_MS
    return change(one, resolved_at_ms=now_ms) if over else one


def _opened(one: Alert, now_ms: int) -> Alert:
    held_ms = now_ms - one.seen_at_ms
    if one.opened_at_ms or held_ms < HOLD_MS.get(one.finding.kind, HOLD_MS_ELSE):
        return one
    return msgspec.structs.replace(one, opened_at_ms=now_ms)


def _told(
    one: Alert, notifier: str, of_open: set[str], of_ended: set[tuple[str, int]], now_ms: int
) -> Alert:
    if one.is_open and one.name in of_open:
        return msgspec.structs.replace(one, told={**one.told, notifier: now_ms})
    if (one.name, one.opened_at_ms) in of_ended:
        return msgspec.structs.replace(one, ended=(*one.ended, notifier))
    return one
