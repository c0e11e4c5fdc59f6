"""Growth: known only from enough, of the present only, and never a division by nothing."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.growth import (
    KNOWN_MS,
    SAMPLE_MS_MAX,
    SAMPLE_MS_MIN,
    WINDOW_MS,
    Growth,
    Sample,
    growth_of,
    is_due,
)

NOW_MS = 1_795_500_000_000
HOUR_MS = 3_600_000
BYTES = st.integers(0, 10**14)
FREE = st.one_of(st.none(), BYTES)


@given(rate=st.integers(-(10**9), 10**9), hours=st.integers(1, 70), free=FREE)
def test_even_growth_is_found_exactly(rate: int, hours: int, free: int | None) -> None:
    samples = [Sample(NOW_MS + n * HOUR_MS, 10**12 + rate * n, free) for n in range(hours + 1)]
    known = growth_of(samples)
    assert known is not None
    assert known.bytes_a_day == pytest.approx(rate * 24)
    if rate > 0 and free is not None:
        assert known.days_left == pytest.approx(free / (rate * 24))
    else:
        assert known.days_left is None


@given(stored=st.lists(BYTES, min_size=1, max_size=20), free=BYTES)
def test_less_than_an_hour_is_not_enough(stored: list[int], free: int) -> None:
    step_ms = (KNOWN_MS - 1) // len(stored)
    samples = [Sample(NOW_MS + n * step_ms, size, free) for n, size in enumerate(stored)]
    assert growth_of(samples) == Growth(stored[-1], free)


def test_what_is_long_ago_says_nothing_about_now() -> None:
    burst = Sample(NOW_MS - WINDOW_MS - 1, 0, 10**9)
    calm = [Sample(NOW_MS - n * HOUR_MS, 10**12, 10**9) for n in (48, 24, 0)]
    known = growth_of([burst, *calm])
    assert known is not None
    assert (known.bytes_a_day, known.days_left) == (0, None)
    assert growth_of([]) is None


def test_a_clock_that_was_set_back_gives_no_rate_from_the_future() -> None:
    ahead = Sample(NOW_MS + 9 * HOUR_MS, 0, 5)
    assert growth_of([Sample(NOW_MS - 2 * HOUR_MS, 10, 5), Sample(NOW_MS, 20, 5)]) is not None
    assert growth_of([ahead, Sample(NOW_MS, 20, 5)]) == Growth(20, 5)
    assert is_due([ahead], NOW_MS)


def test_samples_come_soon_at_first_and_hourly_later() -> None:
    samples: list[Sample] = []
    taken: list[int] = []
    for minute in range(48 * 60):
        if is_due(samples, NOW_MS + minute * 60_000):
            samples.append(Sample(NOW_MS + minute * 60_000, 0, 0))
            taken.append(minute)
    assert taken[:6] == [0, 5, 10, 20, 40, 80]
    gaps = [later - earlier for earlier, later in pairwise(taken)]
    assert min(gaps) * 60_000 == SAMPLE_MS_MIN
    assert set(gaps[5:]) == {SAMPLE_MS_MAX // 60_000}
