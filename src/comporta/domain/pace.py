"""How fast a replay goes: at a rate, or as events came, so many times faster. Pure.

Each new delivery gets the moment from which it may go out, so nobody has to stay for a replay.
"""

import re

import msgspec

from comporta.domain.rate import Rate, parse_rate, show_rate

LASTS_MS_MAX = 30 * 86_400_000
"""No delivery is put off for longer than this."""
FACTOR_MIN, FACTOR_MAX = 0.01, 100_000.0
_FACTOR = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*x", re.IGNORECASE)


class Speed(msgspec.Struct, frozen=True):
    """Either deliveries a second, or by how much the gaps between events shrink; the other is 0."""

    per_s: float = 0.0
    factor: float = 0.0


class Pace(msgspec.Struct, frozen=True):
    """A speed that has begun: all steps of one replay share it."""

    speed: Speed
    start_at_ms: int
    """When the first delivery may go out, Unix milliseconds."""
    first_at_ms: int
    """When the earliest of the repeated events was accepted, Unix milliseconds."""
    position: int = 0
    """How many deliveries earlier steps have made."""


def due_at_ms(pace: Pace, index: int, accepted_at_ms: int) -> int:
    """When a delivery may go out, Unix milliseconds; at most `LASTS_MS_MAX` from the start.

    Args:
        pace: of this step.
        index: of the delivery within the step, from 0.
        accepted_at_ms: of its event.
    """
    if pace.speed.per_s:
        after_ms = (pace.position + index) * 1000 / pace.speed.per_s
    else:
        after_ms = (accepted_at_ms - pace.first_at_ms) / pace.speed.factor
    return pace.start_at_ms + int(min(max(after_ms, 0), LASTS_MS_MAX))


def lasts_ms(speed: Speed, count: int, span_ms: int) -> float:
    """How long a replay takes, milliseconds.

    Args:
        speed: its speed.
        count: how many deliveries it makes.
        span_ms: from the first of the repeated events to the last.
    """
    return (count - 1) * 1000 / speed.per_s if speed.per_s else span_ms / speed.factor


def show_speed(speed: Speed) -> str:
    """A speed as `parse_speed` reads it."""
    return (
        show_rate(Rate(speed.per_s, 1))
        if speed.per_s
        else f"{speed.factor:.3f}".rstrip("0").rstrip(".") + "x"
    )


def parse_speed(text: str) -> Speed:
    """`"50/s"`, `"600/min"` → a rate; `"20x"` → twenty times as fast as the events came.

    Raises:
        ValueError: not of that form, or out of bounds.
    """
    found = _FACTOR.fullmatch(text.strip())
    if found is None:
        return Speed(per_s=parse_rate(text, 1).per_s)
    factor = float(found[1])
    if not FACTOR_MIN <= factor <= FACTOR_MAX:
        raise ValueError(f"{text!r} is out of bounds")
    return Speed(factor=factor)
