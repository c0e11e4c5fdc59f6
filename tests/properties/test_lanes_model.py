"""Lanes against a model: a ledger on paper, and every order of events that a worker can meet."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.deliveries import delivery, next_of

from comporta.dispatch.lanes import Lanes
from comporta.domain.delivery import Delivery
from comporta.ledger.port import LaneKey

PARTITIONS = (0, 1)
LANE_NUMBERS = (10, 11, 12)
FAR_MS = 10**12
Place = tuple[int, int]


@dataclass
class Row:
    """A delivery in the ledger on paper."""

    id: int
    place: Place
    state: str = "open"
    due_at_ms: int = 0
    offered: bool = False
    late: bool = False
    """Put back or made by a person: it may come out of turn once."""


@dataclass
class Given:
    """A delivery that was given out, and what has been told about it since."""

    delivery: Delivery
    epoch: int
    state: str = ""
    due_at_ms: int = 0


@dataclass
class Refill:
    """A question to the ledger that is under way."""

    wanted: dict[LaneKey, int]
    found: list[Delivery] | None = None


@dataclass
class Paper:
    """What is true, as opposed to what the lanes believe."""

    rows: dict[int, Row] = field(default_factory=dict)
    newest: int = 0

    def add(self, place: Place, *, late: bool = False) -> Row:
        self.newest += 1
        row = self.rows[self.newest] = Row(self.newest, place, late=late, offered=late)
        return row

    def open_rows(self, place: Place) -> list[Row]:
        rows = (row for row in self.rows.values() if row.place == place and row.state == "open")
        return sorted(rows, key=lambda row: row.id)


class LanesMachine(RuleBasedStateMachine):
    """Drives lanes as an outlet does, in any order that an event loop and two threads allow."""

    lanes: Lanes

    @initialize(held_max=st.integers(1, 6), each_max=st.integers(1, 3))
    def begin(self, held_max: int, each_max: int) -> None:
        self.held_max, self.each_max = held_max, each_max
        self.lanes = Lanes(held_max)
        self.paper = Paper()
        self.now_ms = 1_000
        self.epochs = dict.fromkeys(PARTITIONS, 0)
        self.offers: list[Row] = []
        self.nudges: list[Place] = []
        self.busy: list[Given] = []
        self.outcomes: list[Given] = []
        self.committed: list[Given] = []
        self.refill: Refill | None = None

    # What comes in

    @rule(partition=st.sampled_from(PARTITIONS), number=st.sampled_from(LANE_NUMBERS))
    def record(self, partition: int, number: int) -> None:
        self.offers.append(self.paper.add((partition, number)))

    @precondition(lambda self: self.offers)
    @rule()
    def offer(self) -> None:
        row = self.offers.pop(0)
        row.offered = True
        self.lanes.offer(delivery(row.id, row.place))

    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        dead = [row for row in self.paper.rows.values() if row.state == "dead"]
        if dead:
            row = data.draw(st.sampled_from(dead))
            row.state, row.due_at_ms, row.late = "open", 0, True
            self.nudges.append(row.place)

    @rule(partition=st.sampled_from(PARTITIONS), number=st.sampled_from(LANE_NUMBERS))
    def replay(self, partition: int, number: int) -> None:
        self.nudges.append(self.paper.add((partition, number), late=True).place)

    @precondition(lambda self: self.nudges)
    @rule()
    def nudge(self) -> None:
        self.lanes.open(*self.nudges.pop(0))

    # What goes out

    @rule()
    def give(self) -> None:
        found = next_of(self.lanes, self.now_ms)
        if found is None:
            return
        place = (found.partition, found.lane)
        row = self.paper.rows[found.id]
        assert found.due_at_ms <= self.now_ms
        assert row.state == "open", "it came to an end before"
        mine = [one for one in (*self.busy, *self.outcomes, *self.committed) if self.is_now(one)]
        here = [one for one in mine if (one.delivery.partition, one.delivery.lane) == place]
        assert not [one for one in here if one in self.busy], "two at a time in one lane"
        told = {one.delivery.id for one in here}
        assert found.id not in told, "twice without the ledger knowing of the first"
        if not row.late:
            turn = [one for one in self.paper.open_rows(place) if not one.late]
            first = next(one.id for one in turn if one.id not in told)
            assert found.id == first, "out of turn"
        self.busy.append(Given(found, self.epochs[found.partition]))

    def is_now(self, one: Given) -> bool:
        return one.epoch == self.epochs[one.delivery.partition]

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), state=st.sampled_from(["delivered", "dead", "open"]))
    def conclude(self, data: st.DataObject, state: str) -> None:
        one = data.draw(st.sampled_from(self.busy))
        wait_ms = data.draw(st.sampled_from([1, 500, 10_000]))
        self.end(one, state, wait_ms)

    def end(self, one: Given, state: str, wait_ms: int = 0) -> None:
        self.busy.remove(one)
        one.state = state
        if state == "open":
            one.due_at_ms = self.now_ms + wait_ms
            self.lanes.postponed(one.delivery, one.due_at_ms)
        else:
            self.lanes.finished(one.delivery)
        self.outcomes.append(one)

    @precondition(lambda self: self.outcomes)
    @rule(count=st.integers(1, 5))
    def commit(self, count: int) -> None:
        batch, self.outcomes = self.outcomes[:count], self.outcomes[count:]
        for one in batch:
            row = self.paper.rows[one.delivery.id]
            if row.state == "open" and self.is_now(one):
                row.state, row.due_at_ms, row.late = one.state, one.due_at_ms, False
        self.committed.extend(batch)

    @precondition(lambda self: self.committed)
    @rule()
    def settle(self) -> None:
        # The ledger's writer answers in order: what it recorded before was offered before.
        while self.offers:
            self.offer()
        for one in self.committed:
            self.lanes.settled(one.delivery)
        self.committed = []

    # What waits

    @rule(step_ms=st.sampled_from([0, 1, 500, 20_000]))
    def wake(self, step_ms: int) -> None:
        self.now_ms += step_ms
        due_at_ms = self.lanes.wake(self.now_ms)
        assert due_at_ms is None or due_at_ms > self.now_ms

    @precondition(lambda self: self.refill is None)
    @rule(lanes_max=st.integers(1, 4))
    def ask(self, lanes_max: int) -> None:
        wanted = self.lanes.hungry("dst", lanes_max)
        assert len(wanted) <= lanes_max
        if wanted:
            self.refill = Refill(wanted)

    @precondition(lambda self: self.refill is not None and self.refill.found is None)
    @rule()
    def look_up(self) -> None:
        assert self.refill is not None
        found: list[Delivery] = []
        for key, after in self.refill.wanted.items():
            place = (key.partition, key.lane)
            rows = [row for row in self.paper.open_rows(place) if row.id > after]
            found += [delivery(row.id, place, row.due_at_ms) for row in rows[: self.each_max]]
        self.refill.found = found

    @precondition(lambda self: self.refill is not None)
    @rule(fails=st.booleans())
    def answer(self, fails: bool) -> None:
        assert self.refill is not None
        if self.refill.found is None:
            self.look_up()
        refill, self.refill = self.refill, None
        if fails:
            self.lanes.refilled(refill.wanted, (), refill.wanted)
        else:
            found = refill.found or ()
            counts = Counter(LaneKey(one.partition, "dst", one.lane) for one in found)
            full = [key for key, count in counts.items() if count >= self.each_max]
            self.lanes.refilled(refill.wanted, found, full)

    # Who owns it

    @rule(partition=st.sampled_from(PARTITIONS))
    def lose_and_win(self, partition: int) -> None:
        self.lanes.drop(partition)
        self.epochs[partition] += 1
        self.offers = [row for row in self.offers if row.place[0] != partition]
        self.nudges = [place for place in self.nudges if place[0] != partition]
        for number in LANE_NUMBERS:
            rows = self.paper.open_rows((partition, number))
            if rows:
                self.lanes.open(partition, number, rows[0].due_at_ms)

    # What must always be true

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "paper"):
            assert 0 <= self.lanes.held <= self.held_max
            assert len(self.lanes) <= len(PARTITIONS) * len(LANE_NUMBERS)

    def teardown(self) -> None:
        if hasattr(self, "paper"):
            self.run_dry()
            still = [row.id for row in self.paper.rows.values() if row.state == "open"]
            assert not still, f"forgotten: {still}"
            assert len(self.lanes) == self.lanes.held == 0
            assert self.lanes.active() == set()
            lines = (*self.lanes._ready.values(), *self.lanes._hungry.values())
            assert not any((self.lanes._waiting, *lines))

    def run_dry(self) -> None:
        """All that is under way ends well, and time passes."""
        for _round in range(10 * len(self.paper.rows) + 20):
            while self.offers:
                self.offer()
            while self.nudges:
                self.nudge()
            while self.busy:
                self.end(self.busy[0], "delivered")
            while self.outcomes:
                self.commit(100)
            if self.committed:
                self.settle()
            if self.refill is not None:
                self.answer(fails=False)
            self.wake(FAR_MS)
            self.give()
            if self.refill is None:
                self.ask(4)


def test_lanes_give_everything_in_order_one_at_a_time_and_forget_nothing() -> None:
    run_state_machine_as_test(
        LanesMachine,
        settings=settings(max_examples=200, stateful_step_count=60, deadline=None),
    )
