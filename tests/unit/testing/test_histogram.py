"""The percentiles that every summary shows."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.testing.histogram import Histogram


@given(
    st.lists(st.floats(min_value=1e-6, max_value=10_000), min_size=1, max_size=200),
    st.floats(min_value=0.01, max_value=1),
)
def test_a_percentile_is_never_too_low_and_at_most_two_percent_too_high(
    durations: list[float], share: float
) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    rank = next(i for i in range(1, len(durations) + 1) if i >= len(durations) * share)
    exact_ms = sorted(durations)[rank - 1] * 1000
    told_ms = histogram.percentile_ms(share)
    assert exact_ms - 0.002 <= told_ms <= exact_ms * 1.02 + 0.002


def test_an_empty_histogram_says_zero() -> None:
    assert Histogram().percentile_ms(0.99) == 0.0


def test_the_maximum_is_exact_and_a_clock_that_went_back_counts_as_zero() -> None:
    histogram = Histogram()
    histogram.add(-1.0)
    histogram.add(0.123456)
    assert histogram.max_ms == 123.456
    assert histogram.percentile_ms(0.5) == 0.0


def test_a_duration_beyond_all_buckets_is_still_counted() -> None:
    histogram = Histogram()
    histogram.add(1e9)
    assert histogram.count == 1
    assert histogram.max_ms == 1e12
