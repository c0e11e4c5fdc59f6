"""GCRA: never more than the rate and its burst, and never less when calls are wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.rate import Rate, grant, parse_rate, show_rate

NOW_MS = 1_795_500_000_000
rates = st.builds(Rate, st.floats(0.01, 5_000), st.integers(1, 500))
steps = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 100)), min_size=1, max_size=60)


@given(rates, steps)
def test_in_no_stretch_of_time_more_is_granted_than_its_rate_and_one_burst(
    rate: Rate, asked: list[tuple[int, int]]
) -> None:
    tat_ms, now_ms = 0.0, NOW_MS
    granted: list[tuple[int, int]] = []
    for step_ms, wanted in asked:
        now_ms += step_ms
        given_ = grant(tat_ms, now_ms, rate, wanted)
        assert 0 <= given_.granted <= wanted
        tat_ms = given_.tat_ms
        granted.append((now_ms, given_.granted))
    for first in range(len(granted)):
        total = 0
        for at_ms, count in granted[first:]:
            total += count
            allowed = rate.burst + (at_ms - granted[first][0]) / 1000 * rate.per_s
            assert total <= allowed + 1e-3


@given(rates, st.integers(1, 100))
def test_who_asks_again_when_told_to_is_not_sent_away_twice(rate: Rate, wanted: int) -> None:
    tat_ms, now_ms = 0.0, float(NOW_MS)
    for _ in range(20):
        given_ = grant(tat_ms, now_ms, rate, wanted)
        assert given_.granted >= 1
        tat_ms = given_.tat_ms
        now_ms = max(now_ms, given_.next_at_ms) + 1


@given(st.floats(0.5, 2_000), st.integers(1, 50))
def test_a_thirsty_caller_gets_the_rate_to_the_full(per_s: float, burst: int) -> None:
    rate, tat_ms, now_ms, total = Rate(per_s, burst), 0.0, float(NOW_MS), 0
    while now_ms < NOW_MS + 10_000:
        given_ = grant(tat_ms, now_ms, rate, 1000)
        tat_ms, total = given_.tat_ms, total + given_.granted
        now_ms = max(now_ms + 0.01, given_.next_at_ms)
    assert total >= (burst + int(10 * per_s) - 1) * 0.999 - 1


@given(rates, st.integers(1, 10**9))
def test_a_clock_that_was_set_back_costs_one_burst_at_the_most(rate: Rate, back_ms: int) -> None:
    tat_ms = grant(0.0, NOW_MS + back_ms, rate, rate.burst).tat_ms
    given_ = grant(tat_ms, NOW_MS, rate, 1)
    assert given_.next_at_ms - NOW_MS <= 1000 / rate.per_s * (rate.burst + 1) + 1


@pytest.mark.parametrize(
    ("text", "burst", "rate"),
    [
        ("50/s", None, Rate(50.0, 50)),
        ("50/s", 1, Rate(50.0, 1)),
        ("600/min", None, Rate(10.0, 10)),
        ("30 / min", None, Rate(0.5, 1)),
        ("1000/h", 5, Rate(1000 / 3600, 5)),
        ("0.5/s", None, Rate(0.5, 1)),
        ("100000/s", None, Rate(100_000.0, 100_000)),
    ],
)
def test_a_rate_is_read_as_people_write_it(text: str, burst: int | None, rate: Rate) -> None:
    assert parse_rate(text, burst) == rate
    assert parse_rate(show_rate(rate), rate.burst).per_s == pytest.approx(rate.per_s, rel=1e-3)


@pytest.mark.parametrize(
    "text", ["", "50", "50/d", "-1/s", "0/s", "1e3/s", "100001/s", "0.5/h", "5/s/s", "nan/s"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|bounds"):
        parse_rate(text)


@pytest.mark.parametrize("burst", [0, -1, 100_001])
def test_a_burst_is_bounded(burst: int) -> None:
    with pytest.raises(ValueError, match="bounds"):
        parse_rate("1/s", burst)


@given(st.integers(1, 99_999), st.sampled_from(["s", "min", "h"]))
def test_a_rate_is_shown_as_it_was_written_or_in_a_larger_unit(number: int, unit: str) -> None:
    rate = parse_rate(f"{number}/{unit}")
    assert parse_rate(show_rate(rate)).per_s == pytest.approx(rate.per_s)
