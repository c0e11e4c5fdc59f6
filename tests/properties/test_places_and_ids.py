"""Partitions, lanes and ids: what is written to disk by them may never change its meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.ids import EPOCH_MS, IdMaker, first_at, fresh, millis_of, parse, show
from comporta.domain.partitioning import lane_of, partition_of

instances = st.text(max_size=20)
clocks = st.integers(EPOCH_MS - 10**9, EPOCH_MS + 10**12)
ID_MAX = 2**63 - 1


@given(instances, st.text(max_size=20), st.integers(1, 256))
def test_a_partition_is_in_range_and_stable(instance: str, subject: str, partitions: int) -> None:
    found = partition_of(instance, subject, partitions)
    assert 0 <= found < partitions
    assert found == partition_of(instance, subject, partitions)


@pytest.mark.parametrize(
    ("instance", "subject", "partition", "lane"),
    [
        ("ins_0123456789", "conversation:1", 4, 3291781357772676995),
        ("ins_0123456789", "conversation:2", 2, 3968538175743373642),
        ("ins_zzzzzzzzzz", "contact:7", 10, 2291701813988422323),
        ("ins_zzzzzzzzzz", "", 5, 3786007731099364293),
    ],
)
def test_events_on_disk_keep_their_partition_and_lane_for_ever(
    instance: str, subject: str, partition: int, lane: int
) -> None:
    assert partition_of(instance, subject, 16) == partition
    assert lane_of(instance, 3, subject) == lane


def test_conversations_spread_evenly_over_the_partitions() -> None:
    counts = [0] * 16
    for number in range(16_000):
        counts[partition_of("ins_0123456789", f"conversation:{number}", 16)] += 1
    assert min(counts) > 800
    assert max(counts) < 1_200


@given(instances, st.none() | st.integers(0, ID_MAX), st.text(max_size=20))
def test_a_lane_fits_into_63_bits(instance: str, account: int | None, subject: str) -> None:
    assert 0 <= lane_of(instance, account, subject) <= ID_MAX


def test_the_same_conversation_of_another_account_or_instance_is_another_lane() -> None:
    lanes = {
        lane_of(instance, account, "conversation:1")
        for instance in ("ins_a", "ins_b")
        for account in (None, 1, 2)
    }
    assert len(lanes) == 6


@given(st.integers(0, 255), st.lists(clocks, min_size=1, max_size=50), st.integers(1, 50))
def test_ids_rise_whatever_the_clock_does_and_a_successor_goes_on_above(
    partition: int, times: list[int], after: int
) -> None:
    maker, made = IdMaker(partition), list[int]()
    for number, now_ms in enumerate(times):
        if number == after:
            maker = IdMaker(partition, made[-1])
        made.append(maker.next(now_ms))
    assert made == sorted(set(made))
    assert 0 < made[0] <= made[-1] <= ID_MAX


def test_more_ids_in_a_millisecond_than_the_counter_holds_borrow_from_the_next() -> None:
    maker = IdMaker(7)
    made = [maker.next(EPOCH_MS + 5) for _ in range(20_000)]
    assert made == sorted(set(made))
    assert millis_of(made[-1]) == EPOCH_MS + 6


@given(st.integers(0, 255), st.integers(0, 255), st.lists(clocks, min_size=1, max_size=20))
def test_ids_of_two_partitions_never_meet(one: int, other: int, times: list[int]) -> None:
    if one == other:
        return
    makers = IdMaker(one), IdMaker(other)
    first, second = ({maker.next(now_ms) for now_ms in times} for maker in makers)
    assert not first & second


def test_an_id_is_never_nothing_even_where_the_clock_is_not_set() -> None:
    assert IdMaker(0).next(0) > 0


@given(st.integers(0, 255), st.integers(EPOCH_MS, EPOCH_MS + 10**12))
def test_an_id_tells_when_it_was_made(partition: int, now_ms: int) -> None:
    made = IdMaker(partition).next(now_ms)
    assert millis_of(made) == now_ms
    assert first_at(now_ms) <= made < first_at(now_ms + 1)


@pytest.mark.parametrize("partition", [-1, 256])
def test_a_partition_that_does_not_fit_into_an_id_is_refused(partition: int) -> None:
    with pytest.raises(ValueError, match="is not in"):
        IdMaker(partition)


@given(st.integers(0, ID_MAX))
def test_what_is_shown_is_read_back_also_from_a_careless_hand(number: int) -> None:
    text = show("evt", number)
    assert parse("evt", text) == number
    assert parse("evt", f" {text.upper()} ") == number
    sloppy = text[4:].replace("1", "l").replace("0", "O")
    assert parse("evt", f"evt_{sloppy}") == number


@given(st.lists(st.integers(0, ID_MAX), max_size=20))
def test_ids_sort_as_text_as_they_do_as_numbers(numbers: list[int]) -> None:
    assert sorted(show("evt", n) for n in numbers) == [show("evt", n) for n in sorted(numbers)]


@given(st.text(max_size=20) | st.from_regex(r"evt_[0-9a-zA-Z_]{11,15}", fullmatch=True))
def test_what_is_not_an_id_is_refused_in_words_and_nothing_else_is_raised(text: str) -> None:
    try:
        number = parse("evt", text)
    except ValueError as error:
        assert "is not an id of the form evt_" in str(error)  # noqa: PT017
    else:
        assert 0 <= number <= ID_MAX


def test_an_id_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="evt_"):
        parse("evt", show("dlv", 5))


def test_ids_for_the_fleet_are_random() -> None:
    made = {fresh("ins") for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(len(one) == 14 and one.startswith("ins_") for one in made)
