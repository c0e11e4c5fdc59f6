"""Weeks of an instance's life, minute by minute, from a seed: shops, night shifts, sparse ones."""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from comporta.alerting.calendar import PlaceCalendar
from comporta.domain.rhythm import DAY_MS, HOUR_MS, MINUTE_MS, Hour

SAO_PAULO = PlaceCalendar("America/Sao_Paulo", "BR")
SEPTEMBER_MS = int(dt.datetime(2026, 8, 31, 3, tzinfo=dt.UTC).timestamp() * 1000)
"""A Monday, 00:00 in São Paulo: the last ten of fourteen weeks have four holidays."""


@dataclass
class Life:
    """How many conversations begin in an hour of the week, and what else there is to it."""

    begin: Callable[[int], float]
    """Hour of the week → conversations that begin in it, on average."""
    closed: float = 0.02
    """What is left on days off, as a part."""
    day_spread: float = 0.3
    """How days differ: of a normal distribution, in the exponent."""
    away: Mapping[int, int] = field(default_factory=dict)
    """Outages: from (Unix ms) → until."""


def office(a: float) -> Callable[[int], float]:
    """Weekdays 9 to 18 with a lunch break, and a Saturday morning."""

    def begin(hour: int) -> float:
        day, clock = divmod(hour, 24)
        if day == 6 or not 9 <= clock < (13 if day == 5 else 18):
            return 0.0
        return a * (0.5 if clock in {9, 12, 17} else 1.0)

    return begin


def always(a: float) -> Callable[[int], float]:
    """Around the clock, with a low at night."""
    return lambda hour: a * (1.05 + math.cos((hour % 24 - 15) / 24 * 2 * math.pi))


def rarely(a: float) -> Callable[[int], float]:
    """A few conversations a day, at any hour when people are awake."""
    return lambda hour: a / 15 if 8 <= hour % 24 < 23 else 0.0


def minutes(life: Life, weeks: int, seed: int, start_ms: int = SEPTEMBER_MS) -> Iterator[int]:
    """The moments (Unix ms, one a busy minute) at which something comes."""
    draw = Random(seed)  # noqa: S311
    going: list[int] = []
    level = 1.0
    for at_ms in range(start_ms, start_ms + weeks * 7 * DAY_MS, MINUTE_MS):
        if (at_ms - start_ms) % DAY_MS == 0:
            level = math.exp(draw.gauss(0, life.day_spread))
        rate = level * life.begin(SAO_PAULO.hour_of_week(at_ms)) / 60
        rate *= life.closed if SAO_PAULO.day_off(at_ms) else 1.0
        if draw.random() < -math.expm1(-rate):
            going.append(1 + int(draw.expovariate(1 / 4)))  # so many more exchanges
        speaking = [draw.random() < 0.4 for _one in going]
        going = [left - spoke for left, spoke in zip(going, speaking, strict=True) if left > spoke]
        gone = any(begin <= at_ms < end for begin, end in life.away.items())
        if any(speaking) and not gone:
            yield at_ms + draw.randrange(MINUTE_MS)


def by_hour(moments: list[int]) -> list[Hour]:
    """Busy minutes of each hour, as the ledger keeps them."""
    found: dict[int, int] = {}
    for at_ms in moments:
        start_ms = at_ms // HOUR_MS * HOUR_MS
        found[start_ms] = found.get(start_ms, 0) | 1 << (at_ms - start_ms) // MINUTE_MS
    return [Hour(*one) for one in sorted(found.items())]
