"""Turns: deficit round robin between flows, weights between shares, slots that add up."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.fairness import COST_MAX, WEIGHTS, Rounds, Share, Turns, cost_of, slots

Item = tuple[str, int, int]
"""Flow, number within it, cost."""
costs = st.integers(1, COST_MAX)
flows = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(costs, min_size=1, max_size=40), min_size=1
)


def filled(wanted: dict[str, list[int]]) -> Rounds[Item]:
    rounds: Rounds[Item] = Rounds()
    for flow, each in wanted.items():
        for number, cost in enumerate(each):
            rounds.push(flow, (flow, number, cost), cost)
    return rounds


def anybody(_flow: str) -> bool:
    return True


@given(flows)
def test_everything_comes_out_once_and_in_order_within_its_flow(
    wanted: dict[str, list[int]],
) -> None:
    rounds = filled(wanted)
    assert len(rounds) == sum(map(len, wanted.values()))
    out: list[Item] = []
    while (item := rounds.pop(anybody)) is not None:
        out.append(item)
    for flow, each in wanted.items():
        assert [number for name, number, _ in out if name == flow] == list(range(len(each)))
    assert len(rounds) == 0
    assert not rounds._flows
    assert not rounds._turns


@given(flows)
def test_while_all_wait_no_flow_gets_more_than_one_dear_item_ahead_of_another(
    wanted: dict[str, list[int]],
) -> None:
    rounds = filled(wanted)
    left = {flow: len(each) for flow, each in wanted.items()}
    spent = dict.fromkeys(wanted, 0)
    while (item := rounds.pop(anybody)) is not None:
        flow, _, cost = item
        spent[flow] += cost
        left[flow] -= 1
        if not all(left.values()):
            break
        assert max(spent.values()) - min(spent.values()) <= 2 * COST_MAX


@given(flows, st.sets(st.sampled_from("abcdef")))
def test_a_flow_that_may_not_go_is_passed_over_and_loses_nothing(
    wanted: dict[str, list[int]], barred: set[str]
) -> None:
    rounds = filled(wanted)
    out: list[Item] = []
    while (item := rounds.pop(lambda flow: flow not in barred)) is not None:
        out.append(item)
    assert Counter(flow for flow, _, _ in out) == {
        flow: len(each) for flow, each in wanted.items() if flow not in barred
    }
    rest = list(iter(lambda: rounds.pop(anybody), None))
    assert len(out) + len(rest) == sum(map(len, wanted.values()))


@given(flows, st.sets(st.integers(0, 40)))
def test_what_is_not_kept_is_gone_and_the_rest_is_as_before(
    wanted: dict[str, list[int]], numbers: set[int]
) -> None:
    rounds = filled(wanted)
    rounds.keep(lambda item: item[1] in numbers)
    out = list(iter(lambda: rounds.pop(anybody), None))
    for flow, each in wanted.items():
        kept = [number for number in range(len(each)) if number in numbers]
        assert [number for name, number, _ in out if name == flow] == kept


def test_a_flood_takes_turns_with_the_others() -> None:
    rounds = filled({"flood": [1] * 1000, "quiet": [1] * 3})
    out = [rounds.pop(anybody) for _ in range(6)]
    assert [item[0] for item in out if item] == ["flood", "quiet"] * 3


def test_large_bodies_cost_more_up_to_a_bound() -> None:
    assert [cost_of(size) for size in (0, 65_535, 65_536, 2**20, 2**30)] == [1, 1, 2, 16, 16]


@given(st.lists(st.sets(st.sampled_from(list(Share)), min_size=1), min_size=1, max_size=300))
def test_only_who_waits_is_chosen(waiting: list[set[Share]]) -> None:
    turns = Turns()
    for shares in waiting:
        assert turns.next(sorted(shares)) in shares


def test_shares_go_by_their_weights_evenly_spread() -> None:
    turns = Turns()
    out = [turns.next(list(Share)) for _ in range(160)]
    assert Counter(out) == {share: weight * 10 for share, weight in WEIGHTS.items()}
    for start in range(0, 160, 16):
        assert set(out[start : start + 16]) == set(Share)


@given(st.integers(1, 1000))
def test_slots_leave_something_for_every_share(concurrency: int) -> None:
    found = slots(concurrency)
    assert all(1 <= count <= concurrency for count in found.values())
    if concurrency >= 8:
        assert found[Share.LIVE] < concurrency, "retries and repeats would wait for long ones"
    else:
        assert found[Share.LIVE] == concurrency, "one of few would be idle most of the time"
    assert found[Share.BULK] <= found[Share.RETRY] <= found[Share.LIVE]
