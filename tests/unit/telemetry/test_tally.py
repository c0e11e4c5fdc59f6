import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.telemetry import metric_defs as defs
from comporta.telemetry.tally import Count, Spread, Tally


def numbers(handle: Count) -> dict[tuple[str, ...], float]:
    return {labels: cell.value for labels, cell in handle.cells()}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(1, 9))))
def test_nothing_counted_is_lost(calls: list[tuple[str, str, int]]) -> None:
    count = Count(defs.EVENTS_ACCEPTED)
    for chatwoot, event_type, amount in calls:
        count.add((chatwoot, "account", event_type), amount)
    assert sum(numbers(count).values()) == sum(amount for *_labels, amount in calls)


def test_event_types_beyond_the_limit_are_counted_as_other_and_known_ones_go_on() -> None:
    count = Count(defs.EVENTS_ACCEPTED)
    limit = defs.LABELS["event_type"]
    for number in range(10_000):
        count.add(("loja", "account", f"type_{number}"))
    count.add(("loja", "account", "type_0"))
    count.add(("outra", "account", "type_0"))
    seen = numbers(count)
    assert len(seen) == limit + 2
    assert seen["loja", "account", "other"] == 10_000 - limit
    assert seen["loja", "account", "type_0"] == 2
    assert seen["outra", "account", "type_0"] == 1


def test_wrong_labels_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="chatwoot"):
        Count(defs.EVENTS_ACCEPTED).add(("loja",))


@given(st.lists(st.floats(0, 100)))
def test_each_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed(
    values: list[float],
) -> None:
    spread = Spread(defs.ACK_SECONDS)
    for value in values:
        spread.observe(value)
    ((_, cell),) = spread.cells()
    bounds = (*defs.ACK_SECONDS.buckets, float("inf"))
    below = -1.0
    for bound, count in zip(bounds, cell.counts, strict=True):
        assert count == sum(below < value <= bound for value in values)
        below = bound
    assert cell.total == pytest.approx(sum(values))


def test_one_thread_may_count_while_another_reads() -> None:
    count = Count(defs.EVENTS_ACCEPTED)
    rounds = 20_000

    def work() -> None:
        for number in range(rounds):
            count.add((str(number % 500), "account", "t"))

    worker = threading.Thread(target=work)
    worker.start()
    last = 0.0
    while worker.is_alive():
        now = sum(numbers(count).values())
        assert now >= last
        last = now
    worker.join()
    assert sum(numbers(count).values()) == rounds


def test_every_metric_that_is_counted_here_has_exactly_one_handle() -> None:
    handled = [handle.definition for handle in Tally().handles()]
    assert handled == [one for one in defs.METRICS if one.kind is not defs.Kind.READING]


def test_metric_names_and_labels_follow_the_house_rules() -> None:
    names = [one.name for one in defs.METRICS]
    assert len(set(names)) == len(names)
    for one in defs.METRICS:
        assert one.name.startswith("comporta_")
        assert one.name.endswith("_total") == (one.kind is defs.Kind.COUNTER)
        assert set(one.labels) <= set(defs.LABELS)
        assert one.help.endswith(".")
        assert bool(one.buckets) == (one.kind is defs.Kind.HISTOGRAM)
        assert list(one.buckets) == sorted(set(one.buckets))
    assert "instance" not in defs.LABELS
