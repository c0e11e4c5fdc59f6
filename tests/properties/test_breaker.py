"""The circuit breaker against every order of failures, probes and clocks."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.breaker import (
    CLOSED,
    COMPANY_S,
    FAILURES,
    LANES,
    OPEN_S,
    OPEN_S_MAX,
    PROBE_MARGIN_S,
    PROBE_S_MAX,
    PROBES,
    QUIET_S,
    Breaker,
    BreakerState,
    Streak,
    probed,
    probing,
    tripped,
)

NOW_MS = 1_795_500_000_000
TIMEOUT_S = 10.0
step = st.tuples(
    st.sampled_from(["trip", "probe", "failed", "succeeded"]), st.integers(-5_000, 90_000)
)


@given(st.lists(step, max_size=80), st.floats(0, 1e6))
def test_whatever_happens_it_is_never_open_for_longer_than_the_maximum(
    steps: list[tuple[str, int]], hold_s: float
) -> None:
    breaker, now_ms, out = CLOSED, NOW_MS, 0
    for what, step_ms in steps:
        now_ms += step_ms
        if what == "trip":
            breaker = tripped(breaker, now_ms, "HTTP 500", hold_s)
            assert breaker.state is BreakerState.OPEN
        elif what == "probe":
            before = breaker
            breaker, allowed = probing(breaker, now_ms, TIMEOUT_S)
            if before.state is BreakerState.OPEN:
                waited = not now_ms < before.until_ms <= now_ms + PROBE_S_MAX * 1000
                assert allowed == waited
            out = breaker.probes
            assert out <= PROBES
        else:
            success = what == "succeeded"
            closed = success or breaker == CLOSED
            breaker = probed(breaker, now_ms, success=success, reason="HTTP 500")
            assert (breaker == CLOSED) == closed
        if breaker.state is BreakerState.OPEN:
            assert breaker.until_ms - breaker.since_ms <= OPEN_S_MAX * 1000
            assert breaker.reason
    # However it stands, somebody may try again soon.
    later_ms = now_ms + int(2 * PROBE_S_MAX * 1000)
    assert probing(breaker, later_ms, TIMEOUT_S)[1]


def test_it_opens_for_longer_with_each_failed_probe_up_to_the_maximum() -> None:
    breaker, now_ms, waits = tripped(CLOSED, NOW_MS, "x"), NOW_MS, []
    for _ in range(6):
        waits.append((breaker.until_ms - now_ms) / 1000)
        now_ms = breaker.until_ms
        breaker, allowed = probing(breaker, now_ms, TIMEOUT_S)
        assert allowed
        assert breaker.state is BreakerState.HALF_OPEN
        breaker = probed(breaker, now_ms, success=False, reason="x")
    assert waits == [OPEN_S, 10.0, 20.0, 40.0, OPEN_S_MAX, OPEN_S_MAX]


def test_half_open_lets_a_few_probes_out_and_no_more_until_they_are_lost() -> None:
    breaker = tripped(CLOSED, NOW_MS, "x")
    now_ms, allowed = breaker.until_ms, []
    for _ in range(PROBES + 2):
        breaker, may = probing(breaker, now_ms, TIMEOUT_S)
        allowed.append(may)
    assert allowed == [True] * PROBES + [False] * 2
    lost_ms = now_ms + int((TIMEOUT_S + PROBE_MARGIN_S) * 1000)
    assert not probing(breaker, lost_ms - 1, TIMEOUT_S)[1]
    breaker, may = probing(breaker, lost_ms, TIMEOUT_S)
    assert may
    assert breaker.probes == 1


def test_one_probe_that_succeeds_closes_it_even_after_another_failed() -> None:
    breaker, _ = probing(tripped(CLOSED, NOW_MS, "x"), NOW_MS + 5_000, TIMEOUT_S)
    breaker = probed(breaker, NOW_MS + 5_001, success=False, reason="x")
    assert breaker.state is BreakerState.OPEN
    assert probed(breaker, NOW_MS + 5_002, success=True) == CLOSED


def test_a_destination_that_asks_for_longer_gets_it_up_to_the_maximum() -> None:
    assert tripped(CLOSED, NOW_MS, "x", 30.0).until_ms == NOW_MS + 30_000
    assert tripped(CLOSED, NOW_MS, "x", 9e9).until_ms == NOW_MS + OPEN_S_MAX * 1000


def test_what_is_open_is_not_opened_anew_by_late_failures() -> None:
    breaker = tripped(CLOSED, NOW_MS, "x")
    assert tripped(breaker, NOW_MS + 4_000, "y") == breaker


def test_a_clock_set_back_does_not_keep_it_open() -> None:
    breaker = Breaker(BreakerState.OPEN, NOW_MS, NOW_MS + 10**9, 1, reason="x")
    assert probing(breaker, NOW_MS, TIMEOUT_S)[1]


attempt = st.tuples(
    st.sampled_from(["passed", "failed", "failed again"]),
    st.integers(1, 4),
    st.sampled_from(["ins_a", "ins_b"]),
    st.integers(0, 2_000),
)


@given(st.lists(attempt, max_size=80))
def test_a_streak_trips_exactly_when_everything_fails(
    attempts: list[tuple[str, int, str, int]],
) -> None:
    streak, now_ms, passed_at_ms = Streak(), NOW_MS, 0
    row: list[int] = []
    failing: set[str] = set()
    seen: set[str] = set()
    for what, lane, instance, step_ms in attempts:
        now_ms += step_ms
        seen.add(instance)
        if what == "passed":
            streak.success(instance, now_ms)
            row, failing, passed_at_ms = [], set(), now_ms
            continue
        first = what == "failed"
        row += [lane] * first
        failing.add(instance)
        everything = (
            len(row) >= FAILURES
            and len(set(row)) >= LANES
            and failing == seen
            and now_ms - passed_at_ms >= QUIET_S * 1000
        )
        assert streak.failure(lane, instance, now_ms, first=first) == everything


def test_one_conversation_that_fails_alone_never_trips() -> None:
    streak = Streak()
    assert not any(streak.failure(1, "ins_a", NOW_MS + n) for n in range(1000))


def test_an_instance_that_fails_alone_trips_only_once_the_others_are_long_gone() -> None:
    streak = Streak()
    streak.success("ins_good", NOW_MS)
    gone_ms = NOW_MS + int(COMPANY_S * 1000)
    tripped_at = [
        at_ms
        for at_ms in range(NOW_MS, gone_ms + 5_000, 1_000)
        if streak.failure(at_ms, "ins_bad", at_ms)
    ]
    assert tripped_at[0] == gone_ms + 1_000
