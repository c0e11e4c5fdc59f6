"""A replay's pace: in order, within bounds, and as fast as was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.pace import LASTS_MS_MAX, Pace, Speed, due_at_ms, lasts_ms, parse_speed

START_MS = 1_795_500_000_000
SPEEDS = st.one_of(
    st.floats(0.01, 100_000).map(lambda per_s: Speed(per_s=per_s)),
    st.floats(0.01, 100_000).map(lambda factor: Speed(factor=factor)),
)
GAPS_MS = st.lists(st.integers(0, 10**10), min_size=1, max_size=20)


@given(speed=SPEEDS, gaps_ms=GAPS_MS)
def test_what_came_later_goes_out_no_earlier_and_nothing_is_put_off_for_ever(
    speed: Speed, gaps_ms: list[int]
) -> None:
    accepted = [START_MS - 10**12 + sum(gaps_ms[:n]) for n in range(len(gaps_ms) + 1)]
    pace = Pace(speed, START_MS, accepted[0])
    dues = [due_at_ms(pace, index, at_ms) for index, at_ms in enumerate(accepted)]
    assert dues == sorted(dues)
    assert dues[0] == START_MS
    assert dues[-1] <= START_MS + LASTS_MS_MAX
    took_ms = lasts_ms(speed, len(accepted), accepted[-1] - accepted[0])
    assert dues[-1] - START_MS == pytest.approx(min(took_ms, LASTS_MS_MAX), abs=1)


@given(per_s=st.floats(0.1, 10_000), cut=st.integers(0, 30))
def test_steps_of_one_replay_join_without_a_seam(per_s: float, cut: int) -> None:
    whole = Pace(Speed(per_s=per_s), START_MS, START_MS)
    rest = Pace(Speed(per_s=per_s), START_MS, START_MS, cut)
    for index in range(10):
        assert due_at_ms(rest, index, START_MS) == due_at_ms(whole, cut + index, START_MS)


@given(speed=SPEEDS, early_ms=st.integers(0, 10**9))
def test_an_event_from_before_the_first_one_goes_out_at_once(speed: Speed, early_ms: int) -> None:
    pace = Pace(speed, START_MS, START_MS)
    assert due_at_ms(pace, 0, START_MS - early_ms) == START_MS


def test_a_speed_is_a_rate_or_a_factor() -> None:
    assert parse_speed("50/s") == Speed(per_s=50)
    assert parse_speed(" 600/min ") == Speed(per_s=10)
    assert parse_speed("1x") == Speed(factor=1)
    assert parse_speed("0.5X") == Speed(factor=0.5)
    for text in ("", "x", "0x", "0.001x", "1000000x", "50", "1e3x", "50/day"):
        with pytest.raises(ValueError, match=r"rate|bounds"):
            parse_speed(text)
