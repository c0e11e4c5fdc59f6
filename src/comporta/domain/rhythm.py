"""What is normal for an instance by the hour of the week, and when its silence is not. Pure.

It is learnt from the minutes in which something came, not from how much: a hundred in a minute say
no more about the next one than one does. Low quantiles over weeks keep holidays and outages out,
and an hour counts as no busier than those beside it, so that a shop may open late. The surprise
at a silence is minus the logarithm of its probability, were minutes independent; as they are not
quite, it has to surprise clearly more than those that the same instance has had before.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

HOUR_MS, MINUTE_MS, DAY_MS = 3_600_000, 60_000, 86_400_000
WEEK_HOURS = 168
LEARN_WEEKS = 8
"""What is older says little about the present."""
KNOWN_DAYS = 14
"""Of less than this there is no rhythm: a plain threshold holds."""
YEARS_A_FALSE_ALARM = 5
FLURRY = 2.0
"""Minutes are not quite independent: a conversation lasts for several, and so does its end."""
MARGIN = 1.8
"""By so much more than the third of its most surprising days: two may have been outages."""
QUIET_MINUTES_MIN = 10
GAP_FACTOR, GAP_MIN_MS = 3, DAY_MS
RECENT_HOURS = 4
"""Before the silence: how busy these were says whether today is a normal day."""
LEVEL_MIN = 0.05
_BUSY_MAX = 59
"""Of sixty minutes: no hour is so busy that a silent minute is impossible."""


class Calendar(Protocol):
    """The place's clock and its days off."""

    def hour_of_week(self, at_ms: int) -> int:
        """0 for the hour from Monday 00:00 in local time, up to 167."""
        ...

    def day_off(self, at_ms: int) -> bool:
        """Whether this is a holiday there."""
        ...


class Hour(msgspec.Struct, frozen=True):
    """What came in one hour: when it began (Unix ms), and in which minutes (a bit for each)."""

    start_ms: int
    minutes: int

    @property
    def busy(self) -> int:
        """Minutes in which something came."""
        return self.minutes.bit_count()


class Rhythm(msgspec.Struct, frozen=True):
    """What is normal."""

    known_since_ms: int
    """When the first event came (Unix ms)."""
    rates: tuple[float, ...] = ()
    """For each hour of the week, how often something comes, times a minute; () if unknown."""
    limit: float = 0.0
    """From this surprise on a silence is none that the rhythm explains."""
    gap_ms: int = 0
    """The longest silence that was there more than once, without days off."""


class Silence(msgspec.Struct, frozen=True):
    """A silence that is not normal."""

    since_ms: int
    quiet_ms: int
    surprise: float
    """Minus the logarithm of its probability; 0: only the length was judged."""


def learn(hours: Sequence[Hour], now_ms: int, calendar: Calendar) -> Rhythm | None:
    """The rhythm of one instance; None if nothing ever came.

    Args:
        hours: in which something came, oldest first; the newest `LEARN_WEEKS` count.
        now_ms: Unix milliseconds; the hour that is under way is left out.
        calendar: of the instance's place.
    """
    recent = [one for one in hours if one.start_ms >= now_ms - LEARN_WEEKS * 7 * DAY_MS]
    if not recent:
        return Rhythm(hours[0].start_ms) if hours else None
    first_ms = recent[0].start_ms
    if now_ms - first_ms < KNOWN_DAYS * DAY_MS:
        return Rhythm(first_ms)
    low = _low(recent, now_ms, calendar)
    rates = tuple(_rate(min(low[h - 1], low[h], low[(h + 1) % WEEK_HOURS])) for h in range(168))
    weeks = (now_ms - first_ms) / (7 * DAY_MS)
    gaps_a_week = sum(one.busy for one in recent) / weeks
    limit = FLURRY * math.log(max(gaps_a_week, 1.0) * 52 * YEARS_A_FALSE_ALARM)
    return _judged(Rhythm(first_ms, rates, limit), recent, calendar)


def silence(  # noqa: PLR0913, PLR0917  (a rule's inputs, each of another kind)
    rhythm: Rhythm,
    recent: Mapping[int, int],
    last_at_ms: int,
    now_ms: int,
    calendar: Calendar,
    plain_ms: int,
) -> Silence | None:
    """Whether an instance is quieter than its rhythm explains.

    Args:
        rhythm: what is normal.
        recent: start of an hour (Unix ms) → busy minutes, of the hours before the last event.
        last_at_ms: when the last event came.
        now_ms: up to when it is known that nothing came.
        calendar: of the instance's place.
        plain_ms: what is too long while there is no rhythm; days off apart.
    """
    quiet_ms = now_ms - last_at_ms
    if quiet_ms < QUIET_MINUTES_MIN * MINUTE_MS:
        return None
    worked_ms = _worked_ms(last_at_ms, now_ms, calendar)
    if not rhythm.rates:
        return Silence(last_at_ms, quiet_ms, 0.0) if worked_ms > plain_ms else None
    if worked_ms > max(GAP_MIN_MS, GAP_FACTOR * rhythm.gap_ms):
        return Silence(last_at_ms, quiet_ms, 0.0)
    surprise = _surprise(rhythm, recent, last_at_ms, now_ms, calendar)
    return Silence(last_at_ms, quiet_ms, surprise) if surprise > rhythm.limit else None


def _low(recent: Sequence[Hour], now_ms: int, calendar: Calendar) -> list[int]:
    """Busy minutes of each hour of the week, in its poorer weeks; days off apart."""
    busy = {one.start_ms: one.busy for one in recent}
    seen: list[list[int]] = [[] for _hour in range(WEEK_HOURS)]
    for start_ms in range(recent[0].start_ms, now_ms - HOUR_MS + 1, HOUR_MS):
        if not calendar.day_off(start_ms):
            seen[calendar.hour_of_week(start_ms)].append(busy.get(start_ms, 0))
    return [sorted(counts)[(len(counts) - 1) // 3] if counts else 0 for counts in seen]


def _judged(rhythm: Rhythm, recent: Sequence[Hour], calendar: Calendar) -> Rhythm:
    """The rhythm, with what silences there were: none that is usual shall be told of."""
    busy = {one.start_ms: one.busy for one in recent}
    surprises: dict[int, float] = {}
    longest = [0, 0]
    for from_ms, until_ms in _gaps(recent):
        surprise = _surprise(rhythm, busy, from_ms, until_ms, calendar)
        day = until_ms // DAY_MS
        surprises[day] = max(surprise, surprises.get(day, 0.0))
        if until_ms - from_ms > longest[1]:
            gap_ms = _worked_ms(from_ms, until_ms, calendar)
            longest = sorted([*longest, gap_ms], reverse=True)[:2]
    usual = sorted(surprises.values(), reverse=True)[2:3]
    limit = max(rhythm.limit, *(MARGIN * one for one in usual), 0.0)
    return msgspec.structs.replace(rhythm, limit=limit, gap_ms=longest[1])


def _gaps(recent: Sequence[Hour]) -> Iterator[tuple[int, int]]:
    """Silences of `QUIET_MINUTES_MIN` and more: from the last busy minute to the next (Unix ms)."""
    before_ms = recent[0].start_ms
    for one in recent:
        left = one.minutes
        while left:
            lowest = left & -left
            at_ms = one.start_ms + (lowest.bit_length() - 1) * MINUTE_MS
            if at_ms - before_ms >= QUIET_MINUTES_MIN * MINUTE_MS:
                yield before_ms, at_ms
            before_ms = at_ms
            left ^= lowest


def _surprise(
    rhythm: Rhythm, busy: Mapping[int, int], from_ms: int, until_ms: int, calendar: Calendar
) -> float:
    level = _level(rhythm, busy, from_ms, calendar)
    return level * sum(
        60 * part * _rate_at(rhythm, start_ms, calendar)
        for start_ms, part in _hours(from_ms, until_ms)
    )


def _level(rhythm: Rhythm, recent: Mapping[int, int], last_at_ms: int, calendar: Calendar) -> float:
    """How busy it was before, as a part of what is normal; 1 at most."""
    until_ms = last_at_ms // HOUR_MS * HOUR_MS
    starts = range(until_ms - RECENT_HOURS * HOUR_MS, until_ms, HOUR_MS)
    was = 60 * sum(_rate(recent.get(start_ms, 0)) for start_ms in starts)
    normal = 60 * sum(_rate_at(rhythm, start_ms, calendar) for start_ms in starts)
    return min(1.0, max(LEVEL_MIN, (was + 1) / (normal + 1)))


def _rate(busy_minutes: int) -> float:
    """How often something comes, times a minute, if so many of sixty minutes are busy."""
    return -math.log1p(-min(busy_minutes, _BUSY_MAX) / 60)


def _rate_at(rhythm: Rhythm, at_ms: int, calendar: Calendar) -> float:
    hour = calendar.hour_of_week(at_ms)
    if calendar.day_off(at_ms):  # as on a Sunday, at most
        return min(rhythm.rates[hour], rhythm.rates[6 * 24 + hour % 24])
    return rhythm.rates[hour]


def _hours(from_ms: int, until_ms: int) -> list[tuple[int, float]]:
    """The hours that a span touches: when each began, and the part of it within."""
    first_ms = from_ms // HOUR_MS * HOUR_MS
    # A silence that is longer than what is learnt surprises by its length.
    starts = range(first_ms, min(until_ms, first_ms + LEARN_WEEKS * 7 * DAY_MS), HOUR_MS)
    return [(s, (min(until_ms, s + HOUR_MS) - max(from_ms, s)) / HOUR_MS) for s in starts]


def _worked_ms(from_ms: int, until_ms: int, calendar: Calendar) -> int:
    """How much of a span was on working days, or on a usual weekend."""
    spans = _hours(from_ms, until_ms)
    return int(HOUR_MS * sum(part for start_ms, part in spans if not calendar.day_off(start_ms)))
