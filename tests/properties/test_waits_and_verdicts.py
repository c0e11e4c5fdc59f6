"""How long a delivery waits, and what becomes of it, whatever a destination answers."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.deliveries import delivery

from comporta.domain.backoff import RETRY_AFTER_S_MAX, WAIT_S_MIN, next_wait_s
from comporta.domain.delivery import (
    AttemptResult,
    Climate,
    DeliveryState,
    Ending,
    Patience,
    Verdict,
)
from comporta.domain.delivery import judge as judge_delivery

waits = st.lists(st.floats(0.1, 1e6), max_size=8).map(tuple)
draws = st.floats(0, 1, exclude_max=True)
asked = st.none() | st.floats(0, 1e9)
STARTED_AT_MS = 1_795_500_000_000
FINE = Climate()
PARK_S = 1e12


def judge(  # noqa: PLR0913, PLR0917
    result: AttemptResult,
    attempts: int,
    waits_s: tuple[float, ...],
    draw: float,
    climate: Climate = FINE,
    tried_at_ms: int = 0,
    park_s: float = PARK_S,
) -> Verdict:
    """After attempt number `attempts`."""
    one = replace(delivery(1), attempts=attempts - 1, tried_at_ms=tried_at_ms)
    return judge_delivery(one, result, Patience(waits_s, park_s), climate, draw)


@given(waits, st.integers(1, 12), draws, asked)
def test_a_wait_is_bounded_and_there_is_none_after_the_schedule(
    waits_s: tuple[float, ...], attempts: int, draw: float, retry_after_s: float | None
) -> None:
    wait_s = next_wait_s(waits_s, attempts, draw, retry_after_s)
    if attempts > len(waits_s):
        assert wait_s is None
        return
    assert wait_s is not None
    assert WAIT_S_MIN <= wait_s <= max(WAIT_S_MIN, waits_s[attempts - 1], RETRY_AFTER_S_MAX)
    if retry_after_s is not None:
        assert wait_s >= min(retry_after_s, RETRY_AFTER_S_MAX)


@given(st.floats(10, 1e6), draws)
def test_jitter_is_full_every_part_of_the_wait_is_as_likely(wait_s: float, draw: float) -> None:
    assert next_wait_s((wait_s,), 1, draw) == max(WAIT_S_MIN, wait_s * draw)


def test_without_luck_a_wait_is_the_least_and_never_nothing() -> None:
    assert next_wait_s((5.0,), 1, 0.0) == WAIT_S_MIN


@given(st.integers(200, 299), st.integers(1, 12), waits, draws)
def test_every_2xx_delivers(
    status: int, attempts: int, waits_s: tuple[float, ...], draw: float
) -> None:
    result = AttemptResult(STARTED_AT_MS, 5.0, status, retry_after_s=9.0)
    assert judge(result, attempts, waits_s, draw).state is DeliveryState.DELIVERED


@given(
    st.none() | st.integers(100, 199) | st.integers(300, 599).filter(lambda s: s != 410),
    st.integers(1, 12),
    waits,
    draws,
    asked,
)
def test_anything_else_is_tried_again_until_the_schedule_ends_and_then_dead_with_its_reason(
    status: int | None,
    attempts: int,
    waits_s: tuple[float, ...],
    draw: float,
    retry_after_s: float | None,
) -> None:
    error = "" if status else "the connection was cut"
    result = AttemptResult(STARTED_AT_MS, 5.0, status, error, retry_after_s)
    verdict = judge(result, attempts, waits_s, draw)
    assert verdict.reason == (error or f"HTTP {status}")
    assert not verdict.gone
    if attempts > len(waits_s):
        assert verdict.state is DeliveryState.DEAD
        assert verdict.due_at_ms == 0
    else:
        wait_s = next_wait_s(waits_s, attempts, draw, retry_after_s)
        assert wait_s is not None
        assert verdict.state is DeliveryState.SCHEDULED
        assert verdict.due_at_ms == STARTED_AT_MS + 5 + int(wait_s * 1000)


@given(st.integers(1, 12), waits, draws)
def test_a_410_is_kept_open_and_says_so(
    attempts: int, waits_s: tuple[float, ...], draw: float
) -> None:
    verdict = judge(AttemptResult(STARTED_AT_MS, 5.0, 410), attempts, waits_s, draw)
    assert verdict.gone
    assert verdict.state is DeliveryState.PENDING


failures = st.builds(
    AttemptResult,
    st.just(STARTED_AT_MS),
    st.just(5.0),
    st.sampled_from([None, 400, 429, 500, 503]),
    st.just("no"),
    ending=st.sampled_from([None, Ending.PASSING, Ending.POISON]),
)


@given(failures, st.integers(1, 12), waits, draws, st.floats(0, 1e9), st.integers(1, 10**9))
def test_in_an_outage_nothing_is_dead_before_its_whole_schedule_has_passed(  # noqa: PLR0913, PLR0917
    result: AttemptResult,
    attempts: int,
    waits_s: tuple[float, ...],
    draw: float,
    park_s: float,
    tried_ms_ago: int,
) -> None:
    climate = Climate(outage=True, passed_at_ms=STARTED_AT_MS)
    verdict = judge(result, attempts, waits_s, draw, climate, STARTED_AT_MS - tried_ms_ago, park_s)
    if tried_ms_ago + 5 < sum(waits_s) * 1000:
        assert verdict.state is DeliveryState.SCHEDULED
        assert not verdict.counts
    else:
        assert verdict.state is DeliveryState.DEAD


def test_a_clock_set_back_in_an_outage_is_no_trouble_where_there_are_no_retries() -> None:
    result = AttemptResult(STARTED_AT_MS, 5.0, 503)
    verdict = judge(result, 1, (), 0.5, Climate(outage=True), STARTED_AT_MS + 99_999)
    assert verdict.state is DeliveryState.DEAD


@given(st.integers(1, 12), waits, draws)
def test_poison_is_dead_once_others_have_passed_since_it_was_first_tried(
    attempts: int, waits_s: tuple[float, ...], draw: float
) -> None:
    result = AttemptResult(STARTED_AT_MS, 5.0, error="boom", ending=Ending.POISON)
    passed = Climate(passed_at_ms=STARTED_AT_MS - 10)
    assert judge(result, attempts, waits_s, draw, passed, STARTED_AT_MS - 20).state == "dead"
    # Not proved yet: nothing has passed since, or it was not tried before.
    for climate, tried_at_ms in ((passed, STARTED_AT_MS - 5), (passed, 0), (FINE, 1)):
        verdict = judge(result, attempts, waits_s, draw, climate, tried_at_ms)
        assert (verdict.state == "dead") == (attempts > len(waits_s))


def test_a_head_that_fails_longer_than_its_lane_may_be_held_up_is_dead_at_that_moment() -> None:
    result = AttemptResult(STARTED_AT_MS, 5.0, 500)
    passed = Climate(passed_at_ms=STARTED_AT_MS - 1)
    first = judge(result, 1, (7200.0, 7200.0), 0.9, FINE, 0, 60.0)
    assert first.due_at_ms == STARTED_AT_MS + 60_000  # looked at when its patience ends
    for ago_ms, state in ((59_994, "scheduled"), (59_995, "dead")):
        verdict = judge(result, 2, (7200.0, 7200.0), 0.9, passed, STARTED_AT_MS - ago_ms, 60.0)
        assert verdict.state == state
    alone = judge(result, 2, (7200.0, 7200.0), 0.9, FINE, STARTED_AT_MS - 99_999, 60.0)
    assert alone.state == "scheduled"


def test_a_receiver_that_drops_a_delivery_ends_it_with_its_reason() -> None:
    result = AttemptResult(STARTED_AT_MS, 5.0, error="not for me", ending=Ending.DROPPED)
    assert judge(result, 1, (5.0,), 0.5) == Verdict(DeliveryState.DISCARDED, reason="not for me")
