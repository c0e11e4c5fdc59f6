"""Silence: what holds whatever came, and how often it is told wrongly in simulated weeks."""

from bisect import bisect_left
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.weeks import (
    SAO_PAULO,
    SEPTEMBER_MS,
    Life,
    always,
    by_hour,
    minutes,
    office,
    rarely,
)

from comporta.domain.rhythm import (
    DAY_MS,
    HOUR_MS,
    KNOWN_DAYS,
    MINUTE_MS,
    QUIET_MINUTES_MIN,
    Hour,
    Rhythm,
    Silence,
    learn,
    silence,
)

WEEK_MS = 7 * DAY_MS
PLAIN_MS = 72 * HOUR_MS
LEARNT, WATCHED = 4, 10
"""Weeks."""
WATCH_MS = SEPTEMBER_MS + LEARNT * WEEK_MS


class Watcher:
    """Judges an instance as an evaluator does, with what it knew then."""

    def __init__(self, moments: Sequence[int]) -> None:
        self.moments = moments
        self.hours = by_hour(list(moments))
        self.starts = [one.start_ms for one in self.hours]
        self.busy = {one.start_ms: one.busy for one in self.hours}

    def rhythm(self, at_ms: int) -> Rhythm:
        found = learn(self.hours[: bisect_left(self.starts, at_ms)], at_ms, SAO_PAULO)
        assert found is not None
        return found

    def judge(self, rhythm: Rhythm, last_at_ms: int, now_ms: int) -> Silence | None:
        return silence(rhythm, self.busy, last_at_ms, now_ms, SAO_PAULO, PLAIN_MS)

    def false_alarms(self) -> int:
        """A silence surprises the more the longer it lasts: it is enough to look at its end."""
        alarms, week, rhythm = 0, -1, Rhythm(0)
        for last_at_ms, now_ms in zip(self.moments, self.moments[1:], strict=False):
            if now_ms >= WATCH_MS and now_ms - last_at_ms >= QUIET_MINUTES_MIN * MINUTE_MS:
                if (now_ms - WATCH_MS) // WEEK_MS != week:
                    week = (now_ms - WATCH_MS) // WEEK_MS
                    rhythm = self.rhythm(WATCH_MS + week * WEEK_MS)
                alarms += self.judge(rhythm, last_at_ms, now_ms) is not None
        return alarms

    def found_after(self, stop_ms: int) -> int:
        """Minutes from the moment when everything stops until it is told."""
        rhythm = self.rhythm(stop_ms // HOUR_MS * HOUR_MS)
        last_at_ms = self.moments[bisect_left(self.moments, stop_ms) - 1]
        for minute in range(24 * 60):
            if self.judge(rhythm, last_at_ms, stop_ms + minute * MINUTE_MS):
                return minute
        raise AssertionError("it is never told")


INSTANCES = {
    "busy shop": Life(office(120)),
    "shop": Life(office(40)),
    "small shop": Life(office(12)),
    "tiny shop": Life(office(4)),
    "day and night": Life(always(60), closed=0.5),
    "sparse": Life(rarely(8)),
    "rare": Life(rarely(2)),
}


@pytest.mark.slow
def test_there_are_fewer_false_alarms_than_one_an_instance_in_ten_weeks() -> None:
    # With Nossa Senhora Aparecida, Finados, the Republic and Consciência Negra in them.
    alarms = {
        (kind, seed): Watcher(list(minutes(life, LEARNT + WATCHED, seed))).false_alarms()
        for kind, life in INSTANCES.items()
        for seed in range(2)
    }
    assert sum(alarms.values()) < len(alarms) / 2, alarms
    for kind in INSTANCES:
        assert sum(alarms[kind, seed] for seed in range(2)) <= 2, (kind, alarms)


@pytest.mark.parametrize("kind", ["busy shop", "day and night"])
def test_a_stop_at_a_busy_hour_is_found_within_15_minutes(kind: str) -> None:
    watcher = Watcher(list(minutes(INSTANCES[kind], LEARNT + 1, seed=7)))
    day_ms = SEPTEMBER_MS + LEARNT * WEEK_MS
    found = [
        watcher.found_after(day_ms + day * DAY_MS + clock * HOUR_MS + 7 * MINUTE_MS)
        for day in range(5)
        for clock in (11, 15, 16)
    ]
    assert max(found) <= 15, found


def test_an_outage_of_two_days_is_not_learnt_as_normal() -> None:
    away_ms = SEPTEMBER_MS + WEEK_MS + 2 * DAY_MS
    life = Life(office(120), away={away_ms: away_ms + 2 * DAY_MS})
    watcher = Watcher(list(minutes(life, LEARNT + 1, seed=3)))
    stop_ms = SEPTEMBER_MS + LEARNT * WEEK_MS + 2 * DAY_MS + 11 * HOUR_MS
    assert watcher.found_after(stop_ms) <= 20


def test_a_stop_on_a_friday_evening_is_told_on_monday_and_not_in_the_weekend() -> None:
    watcher = Watcher(list(minutes(Life(office(120)), LEARNT + 1, seed=4)))
    stop_ms = SEPTEMBER_MS + LEARNT * WEEK_MS - 2 * DAY_MS - 6 * HOUR_MS
    assert SAO_PAULO.hour_of_week(stop_ms) == 4 * 24 + 18
    last = watcher.moments[bisect_left(watcher.moments, stop_ms) - 1]
    rhythm = watcher.rhythm(stop_ms)
    assert watcher.judge(rhythm, last, stop_ms + 14 * HOUR_MS) is None  # Saturday 8:00
    assert watcher.judge(rhythm, last, stop_ms + 65 * HOUR_MS) is not None  # Monday 11:00


def test_what_is_new_has_a_plain_threshold_without_days_off() -> None:
    carnival_ms = SEPTEMBER_MS + 161 * DAY_MS  # Monday, 8 February 2027
    assert SAO_PAULO.day_off(carnival_ms + 12 * HOUR_MS)
    hours = [Hour(carnival_ms - 3 * HOUR_MS, 1)]
    rhythm = learn(hours, carnival_ms, SAO_PAULO)
    assert rhythm is not None
    assert not rhythm.rates
    last_ms = hours[0].start_ms
    # Carnival's Monday, Tuesday and Ash Wednesday do not count.
    at_ms = last_ms + PLAIN_MS + 3 * DAY_MS
    assert silence(rhythm, {}, last_ms, at_ms, SAO_PAULO, PLAIN_MS) is None
    assert silence(rhythm, {}, last_ms, at_ms + MINUTE_MS, SAO_PAULO, PLAIN_MS) is not None


def test_of_what_never_came_nothing_is_known() -> None:
    assert learn([], SEPTEMBER_MS, SAO_PAULO) is None


masks = st.integers(0, 2**60 - 1).map(lambda bits: bits or 1)
lives = st.lists(st.tuples(st.integers(0, 5 * 168), masks), min_size=1, max_size=60)


@given(lives, st.integers(0, 3 * 168), st.integers(1, 10_000), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_whatever_came_a_longer_silence_is_told_if_a_shorter_one_is(
    life: list[tuple[int, int]], after_h: int, quiet_min: int, more_min: int
) -> None:
    hours = [Hour(SEPTEMBER_MS + at * HOUR_MS, bits) for at, bits in sorted(dict(life).items())]
    now_ms = hours[-1].start_ms + (after_h + 1) * HOUR_MS
    rhythm = learn(hours, now_ms, SAO_PAULO)
    assert rhythm is not None
    assert bool(rhythm.rates) <= (now_ms - hours[0].start_ms >= KNOWN_DAYS * DAY_MS)
    busy = {one.start_ms: one.busy for one in hours}
    last_ms = hours[-1].start_ms + HOUR_MS - 1

    def told(minutes_quiet: int) -> bool:
        until_ms = last_ms + minutes_quiet * MINUTE_MS
        return silence(rhythm, busy, last_ms, until_ms, SAO_PAULO, PLAIN_MS) is not None

    assert told(quiet_min) <= told(quiet_min + more_min)
    assert not told(QUIET_MINUTES_MIN - 1)
