"""What is sent on from the spool arrives whole and in order, whatever the broker makes of it."""

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from comporta.log.port import Batch, Entry
from comporta.log.spool.waves import WAVE_MAX, Item, Waves
from comporta.testing.conformance.records import record

PARTITIONS = 3
LANES = 3


def spooled(places: Sequence[tuple[int, int]]) -> list[Entry]:
    """A file of these events: (partition, lane) each."""
    return [
        Entry(10 * (n + 1), record(partition, b"%04d" % n, subject=f"conversation:{lane}"))
        for n, (partition, lane) in enumerate(places)
    ]


def read(file: Sequence[Entry], after: Mapping[int, int], events_max: int) -> Batch:
    """As the embedded log reads: in the order of the file, up to some event of it."""
    floor = min(after.values())
    rows = [entry for entry in file if entry.offset > floor][:events_max]
    last = rows[-1].offset if rows else floor
    found = [
        e for e in rows if e.record.partition in after and e.offset > after[e.record.partition]
    ]
    return Batch(tuple(found), {p: max(last, own) for p, own in after.items()})


def lane(item: Item) -> tuple[int, str]:
    record = item.entry.record
    return record.partition, record.subject


def first_copies(arrived: Sequence[Entry]) -> list[Entry]:
    return list({entry.offset: entry for entry in arrived}.values())


def in_lanes(entries: Sequence[Entry]) -> dict[tuple[int, str], list[int]]:
    lanes: dict[tuple[int, str], list[int]] = {}
    for entry in entries:
        lanes.setdefault((entry.record.partition, entry.record.subject), []).append(entry.offset)
    return lanes


places = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.integers(0, LANES - 1)), max_size=40)


@settings(max_examples=400)
@given(places=places, data=st.data())
def test_every_lane_arrives_whole_and_in_order_though_sends_fail_at_any_moment(
    places: list[tuple[int, int]], data: st.DataObject
) -> None:
    file = spooled(places)
    waves = Waves(dict.fromkeys(range(PARTITIONS), 0))
    flying: list[Item] = []
    arrived: list[Entry] = []
    steps = data.draw(st.lists(st.sampled_from(["read", "send", "land", "lose", "fail", "retry"])))
    for step in [*steps, *["retry", "read", "send", *["land"] * len(file)] * (2 * len(file) + 2)]:
        before = waves.watermark()
        match step:
            case "read":
                if after := waves.hungry():
                    events_max = data.draw(st.integers(1, 9)) if len(steps) < 30 else 9
                    waves.add(after, read(file, after, events_max))
            case "send":
                flying += waves.take()
                assert len({lane(item) for item in flying}) == len(flying), "two of one lane"
            case "land" | "lose" | "fail" if flying:
                item = flying.pop(data.draw(st.integers(0, len(flying) - 1)) if steps else 0)
                if step != "fail":  # what is lost on the way back has arrived, too
                    arrived.append(item.entry)
                (waves.confirm if step == "land" else waves.fail)(item)
            case "retry":
                for partition in range(PARTITIONS):
                    waves.retry(partition)
        sure = {entry.offset for entry in arrived}
        for partition, offset in waves.watermark().items():
            assert offset >= before[partition]
            mine = {e.offset for e in file if e.record.partition == partition}
            assert {o for o in mine if o <= offset} <= sure, "passed over"
    assert in_lanes(first_copies(arrived)) == in_lanes(file)
    assert all(waves.idle(partition) for partition in range(PARTITIONS))
    assert (waves.bytes, waves.flying) == (0, 0)


@given(places=places)
def test_without_a_fault_everything_is_sent_once(places: list[tuple[int, int]]) -> None:
    file = spooled(places)
    waves = Waves(dict.fromkeys(range(PARTITIONS), 0))
    arrived: list[Entry] = []
    while (after := waves.hungry()) and (batch := read(file, after, 7)).reached != after:
        waves.add(after, batch)
        while wave := waves.take():
            for item in wave:
                arrived.append(item.entry)
                waves.confirm(item)
    assert sorted(entry.offset for entry in arrived) == [entry.offset for entry in file]
    assert in_lanes(arrived) == in_lanes(file)


def test_a_partition_that_fails_is_given_up_and_the_others_go_on() -> None:
    file = spooled([(n % 2, n) for n in range(20)])
    waves = Waves({0: 0, 1: 0})
    waves.add({0: 0, 1: 0}, read(file, {0: 0, 1: 0}, 100))
    for item in waves.take():
        (waves.fail if item.entry.record.partition == 0 else waves.confirm)(item)
    assert waves.watermark() == {0: 9, 1: 200}
    assert waves.bytes == 0
    assert waves.take() == []
    assert waves.hungry() == {1: 200}
    assert waves.retry(0)
    assert waves.hungry() == {0: 9}
    waves.add({0: 9}, read(file, {0: 9}, 100))
    (trial,) = waves.take()
    assert trial.entry.offset == 10
    waves.confirm(trial)
    assert len(waves.take()) == 9


def test_what_was_confirmed_before_its_partition_was_given_up_is_not_sent_again() -> None:
    file = spooled([(0, n) for n in range(10)])
    waves = Waves({0: 0})
    waves.add({0: 0}, read(file, {0: 0}, 100))
    for item in waves.take():
        (waves.fail if item.entry.offset == 30 else waves.confirm)(item)
    assert waves.watermark() == {0: 29}
    waves.retry(0)
    waves.add({0: 29}, read(file, {0: 29}, 100))
    (again,) = waves.take()
    assert again.entry.offset == 30
    waves.confirm(again)
    assert waves.take() == []
    assert waves.watermark() == {0: 100}


def test_what_is_under_way_and_what_is_read_ahead_are_bounded() -> None:
    file = spooled([(n % 3, n) for n in range(3000)])
    waves = Waves({0: 0, 1: 0, 2: 0})
    flying = 0
    while after := waves.hungry():
        waves.add(after, read(file, after, 64))
        flying += len(waves.take())
    assert flying == waves.flying == WAVE_MAX
    assert 3 * 256 <= waves.bytes / 4 <= 3 * (256 + 64)
