"""How long a delivery waits, and what becomes of it, whatever a destination answers."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.backoff import RETRY_AFTER_S_MAX, WAIT_S_MIN, next_wait_s
from comporta.domain.delivery import AttemptResult, DeliveryState, judge

waits = st.lists(st.floats(0.1, 1e6), max_size=8).map(tuple)
draws = st.floats(0, 1, exclude_max=True)
asked = st.none() | st.floats(0, 1e9)
STARTED_AT_MS = 1_795_500_000_000


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
