"""What was answered lately, from counts that only grow."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.alerting.answers import WINDOW_MS, Answered, Window

STEP_MS = 20_000
PER_WINDOW = WINDOW_MS // STEP_MS


def test_what_was_before_the_first_look_does_not_count() -> None:
    assert Window().lately(Answered(1000, 7), 0) == Answered()


def test_a_server_that_has_started_anew_begins_at_nothing() -> None:
    window = Window()
    window.lately(Answered(1000, 7), 0)
    assert window.lately(Answered(5, 2), STEP_MS) == Answered(5, 2)


def test_a_clock_that_is_put_back_does_not_matter() -> None:
    window = Window()
    window.lately(Answered(10, 1), WINDOW_MS)
    assert window.lately(Answered(12, 1), 0).count >= 2


@given(st.lists(st.integers(0, 100), max_size=80))
def test_it_is_the_sum_of_the_last_looks(each: list[int]) -> None:
    window, ever = Window(), 0
    window.lately(Answered(), 0)
    for number, more in enumerate(each, 1):
        ever += more
        found = window.lately(Answered(ever), number * STEP_MS)
        recent = each[max(0, number - PER_WINDOW) : number]
        assert found == Answered(sum(recent))
