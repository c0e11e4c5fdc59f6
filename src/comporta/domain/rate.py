"""How fast a destination wants to be called: GCRA, the virtual scheduling of one number.

The number is the *theoretical arrival time* (TAT): when the next call would be due if all had come
exactly at the rate. A call may come earlier than that by as much as a burst is long. Who shares the
number shares the rate. (The algorithm: ITU-T I.371, annex A.)
"""

import re

import msgspec

_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*/\s*(s|min|h)")
PER_S_MAX = 100_000.0
PER_S_MIN = 1 / 3600
BURST_MAX = 100_000
FAR_AHEAD_MS = 5_000
_ROUNDING_MS = 1e-3
"""More than what a float of Unix milliseconds may be off."""


class Rate(msgspec.Struct, frozen=True):
    """So many calls a second in the long run, and so many at once after a pause."""

    per_s: float
    burst: int


class Grant(msgspec.Struct, frozen=True):
    """What a request for calls brought."""

    tat_ms: float
    """The number to keep: Unix milliseconds."""
    granted: int
    next_at_ms: float
    """When at least one more can be had, Unix milliseconds."""


def grant(tat_ms: float, now_ms: float, rate: Rate, wanted: int) -> Grant:
    """Up to `wanted` calls, as many as conform now.

    Args:
        tat_ms: the number kept from last time; 0 at first.
        now_ms: Unix milliseconds. If the clock was set back, the number may lie far ahead of it; it
            is never believed beyond a whole burst.
        rate: what is allowed.
        wanted: at least 1.
    """
    each_ms = 1000 / rate.per_s
    span_ms = rate.burst * each_ms
    ahead_ms = min(max(tat_ms - now_ms, 0.0), span_ms)
    granted = min(wanted, int((span_ms - ahead_ms + _ROUNDING_MS) / each_ms))
    ahead_ms += granted * each_ms
    return Grant(now_ms + ahead_ms, granted, now_ms + max(0.0, ahead_ms + each_ms - span_ms))


def changes(given: Grant, tat_ms: float) -> bool:
    """Whether the number has to be kept anew.

    One far ahead (the clock was set back, the rate was slower) has to be put right though nothing
    is granted, or it would be far ahead for as long. A little ahead it may be: who asks may have
    waited, and have an older `now_ms` than who asked before.

    Args:
        given: what was asked for, and came of it.
        tat_ms: the number that it was computed from.
    """
    return given.granted > 0 or given.tat_ms + FAR_AHEAD_MS < tat_ms


def parse_rate(text: str, burst: int | None = None) -> Rate:
    """`"50/s"`, `"600/min"`, `"1000/h"` → a rate; the burst is one second's worth if not given.

    Raises:
        ValueError: not of that form, or out of bounds.
    """
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a rate like 50/s")
    per_s = float(found[1]) / _UNITS_S[found[2]]
    chosen = max(1, int(per_s)) if burst is None else burst
    if not PER_S_MIN <= per_s <= PER_S_MAX or not 1 <= chosen <= BURST_MAX:
        raise ValueError(f"{text!r} with burst {chosen} is out of bounds")
    return Rate(per_s, chosen)


def show_rate(rate: Rate) -> str:
    """A rate as it is written in a fleet file: what `parse_rate` read is shown without a loss.

    In the first unit of s, min and h that makes it a whole number, else one with three decimals.
    """
    for decimals in (0, 3):
        for unit, unit_s in _UNITS_S.items():
            number = rate.per_s * unit_s
            if number >= 1 and abs(number - round(number, decimals)) <= 1e-9 * number:
                return f"{number:.{decimals}f}/{unit}"
    return f"{rate.per_s * 3600:.3f}/h"
