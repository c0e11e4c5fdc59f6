"""Whatever is asked and fetched in whatever order: a reader gets everything, once, in order."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from comporta.log.kafka.shelf import BYTES_MAX, EVENTS_MAX, Shelf

PARTITIONS = range(3)
COUNT = 12
Steps = list[tuple[str, int, int]]


class Server:
    """Partitions of `COUNT` messages, fetched as far as a test likes."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._at: dict[int, int] = {}

    def obey(self) -> None:
        """Begin what was asked for anew."""
        for partition, stretch in self._shelf.stretches.items():
            if not stretch.begun:
                self._shelf.begin(partition, 0, COUNT)
                self._at[partition] = stretch.fetched

    def fetch(self, partition: int, count: int) -> None:
        """Bring the next messages of a partition, whoever asked for them."""
        for _ in range(count):
            offset = self._at.get(partition, COUNT) + 1
            if offset <= COUNT:
                self._shelf.put(partition, offset, value_of(partition, offset))
                self._at[partition] = offset


def value_of(partition: int, offset: int) -> bytes:
    return b"%d %d" % (partition, offset)


def held_bytes(shelf: Shelf) -> int:
    return sum(len(one.value) for each in shelf.stretches.values() for one in each.waiting)


steps = st.lists(
    st.tuples(
        st.sampled_from(["fetch", "read", "again", "leave", "lose"]),
        st.integers(0, len(PARTITIONS) - 1),
        st.integers(1, 5),
    ),
    max_size=60,
)


@given(steps)
def test_a_reader_gets_everything_once_and_in_order(taken: Steps) -> None:
    shelf = Shelf()
    server = Server(shelf)
    after = dict.fromkeys(PARTITIONS, 0)
    got: dict[int, list[int]] = {partition: [] for partition in PARTITIONS}

    def read(asked: Mapping[int, int], events_max: int, *, keep: bool) -> None:
        shelf.ask(asked)
        server.obey()
        given = shelf.give(asked, events_max, 1 << 20)
        assert len(given.messages) <= events_max
        assert given.reached.keys() == asked.keys()
        if keep:  # else the ledger failed, and the same is asked again
            for partition, fetched in given.messages:
                assert fetched.value == value_of(partition, fetched.offset)
                got[partition].append(fetched.offset)
            after.update(given.reached)

    for kind, partition, count in taken:
        if kind == "fetch":
            server.fetch(partition, count)
        elif kind == "lose":
            shelf.drop(partition)
        else:
            gone = {partition} if kind == "leave" else set()
            read({p: after[p] for p in after.keys() - gone}, count, keep=kind != "again")
        assert shelf._bytes == held_bytes(shelf)
    for _ in range(2 * COUNT):
        read(after, 100, keep=True)
        for partition in PARTITIONS:
            server.fetch(partition, COUNT)
    assert got == {partition: list(range(1, COUNT + 1)) for partition in PARTITIONS}


def test_partitions_take_turns_in_being_first() -> None:
    shelf, after = Shelf(), dict.fromkeys(PARTITIONS, 0)
    shelf.ask(after)
    server = Server(shelf)
    server.obey()
    firsts = set()
    for partition in PARTITIONS:
        server.fetch(partition, COUNT)
    for _ in PARTITIONS:
        firsts.add(shelf.give(after, 1, 1 << 20).messages[0][0])
    assert firsts == set(PARTITIONS)


def test_it_is_full_at_its_bound_of_events_and_at_its_bound_of_bytes() -> None:
    shelf = Shelf()
    shelf.ask({0: 0})
    shelf.begin(0, 0, 1 << 30)
    for offset in range(1, EVENTS_MAX):
        shelf.put(0, offset, b"")
    assert not shelf.full
    shelf.put(0, EVENTS_MAX, b"")
    assert shelf.full
    shelf.ask({0: EVENTS_MAX})
    assert not shelf.full
    shelf.put(0, EVENTS_MAX + 1, bytes(BYTES_MAX - 1))
    assert not shelf.full
    shelf.put(0, EVENTS_MAX + 2, b"x")
    assert shelf.full


def test_what_is_gone_before_the_start_and_what_is_no_event_is_passed_over() -> None:
    shelf = Shelf()
    shelf.ask({0: 0})
    shelf.begin(0, 40, 43)
    assert shelf.behind([0])
    shelf.put(0, 41, b"first that is kept")
    shelf.ended(0, 43)
    assert not shelf.behind([0])
    given = shelf.give({0: 0}, 10, 100)
    assert [fetched.offset for _, fetched in given.messages] == [41]
    assert given.reached == {0: 43}
