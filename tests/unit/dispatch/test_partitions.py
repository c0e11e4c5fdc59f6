"""Partitions between workers: fair shares, hand-over, loss, failing claims, clocks set back.

State and ledger are paper with the meaning of their ports; the clock is a number.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from comporta.dispatch.partitions import Partitions
from comporta.errors import FencedError, StoreUnavailableError
from comporta.ledger.port import Claim, Ledger
from comporta.log.port import Log
from comporta.state.port import Lease, State, WorkerRow

COUNT = 7
LEASE_S = 10.0
LEASE_MS = 10_000


class Clock:
    """Unix milliseconds, for everybody."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


class PaperState:
    """Leases in a dictionary: partition → worker, token, until."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.away = clock, False
        self.leases: dict[int, tuple[str, int, int]] = {}
        self.beats: dict[str, WorkerRow] = {}

    def _ask(self) -> None:
        if self.away:
            raise StoreUnavailableError("the state is away")

    async def beat(self, worker: WorkerRow, _lease_s: float) -> list[WorkerRow]:
        self._ask()
        self.beats[worker.id] = worker
        for partition, (owner, token, until) in self.leases.items():
            if owner == worker.id and until >= worker.beat_at_ms:
                self.leases[partition] = (owner, token, worker.beat_at_ms + LEASE_MS)
        since_ms = worker.beat_at_ms - LEASE_MS
        return [one for one in self.beats.values() if one.beat_at_ms >= since_ms]

    async def acquire(
        self,
        me: str,
        partitions: Sequence[int],
        wanted: int,
        _lease_s: float,
        now_ms: int,
        above: int = 0,
    ) -> list[Lease]:
        self._ask()
        free = [p for p in partitions if p not in self.leases or self.leases[p][2] < now_ms]
        won = []
        for partition in free[:wanted]:
            last = self.leases.get(partition, ("", 0, 0))[1]
            token = max(last + 1, now_ms, above + 1)
            self.leases[partition] = (me, token, now_ms + LEASE_MS)
            won.append(Lease(partition, token))
        return won

    async def held(self, me: str, now_ms: int) -> list[Lease]:
        self._ask()
        return [
            Lease(partition, token)
            for partition, (owner, token, until) in self.leases.items()
            if owner == me and until >= now_ms
        ]

    async def release(self, me: str, partitions: Sequence[int]) -> None:
        self._ask()
        for partition in partitions:
            owner, token, _until = self.leases[partition]
            if owner == me:
                self.leases[partition] = ("", token, 0)

    async def leave(self, me: str) -> None:
        self._ask()
        await self.release(me, list(self.leases))
        self.beats.pop(me, None)


class PaperLedger:
    """The highest token of each partition; refuses lower ones."""

    def __init__(self) -> None:
        self.away = False
        self.tokens: dict[int, int] = {}

    async def claim(self, partition: int, token: int, log: str) -> Claim:
        assert log == "paper"
        if self.away:
            raise StoreUnavailableError("the ledger is away")
        if token < self.tokens.get(partition, 0):
            raise FencedError("fenced", self.tokens[partition])
        self.tokens[partition] = token
        return Claim(offset=partition * 10, lanes=())


class PaperLog:
    """A log of `COUNT` partitions; `given` is what its own group says, if it has one."""

    partitions = COUNT

    def __init__(self) -> None:
        self.given: frozenset[int] | None = None

    async def identity(self) -> str:
        return "paper"

    def assigned(self) -> frozenset[int] | None:
        return self.given


class Worker:
    """One worker's partitions, and what it was told about their lanes."""

    def __init__(self, name: str, state: PaperState, ledger: PaperLedger, clock: Clock) -> None:
        self.name, self.state = name, state
        self.busy: set[int] = set()
        self.lanes: dict[int, str] = {}
        self.log = PaperLog()
        self.partitions = Partitions(
            log=cast("Log", self.log),
            ledger=cast("Ledger", ledger),
            state=cast("State", state),
            me=lambda owned: WorkerRow(name, 1, 0, clock(), owned),
            lease_s=LEASE_S,
            lanework=self,
            now_ms=clock,
        )

    def workers_changed(self) -> None:
        self.shares = [self.partitions.part_of(total) for total in (1, 10)]

    def partition_won(self, claim: Claim) -> None:
        partition = claim.offset // 10
        assert partition not in self.lanes, "won twice"
        self.lanes[partition] = "open"

    def partition_stopped(self, partition: int) -> None:
        assert self.lanes[partition] == "open"
        self.lanes[partition] = "stopped"

    def partitions_active(self) -> set[int]:
        return self.busy

    def partition_lost(self, partition: int) -> None:
        self.lanes.pop(partition, None)
        self.busy.discard(partition)

    def beat(self) -> bool:
        """One round; whether the stores could be asked."""
        try:
            asyncio.run(self.partitions._renew())
        except StoreUnavailableError:
            return False
        return True

    @property
    def owned(self) -> set[int]:
        return set(self.partitions.tokens)

    @property
    def read(self) -> set[int]:
        return set(self.partitions.positions)


class House:
    """Some workers with the same stores and clock."""

    def __init__(self, *names: str) -> None:
        self.clock = Clock()
        self.state, self.ledger = PaperState(self.clock), PaperLedger()
        self.workers = [self.add(name) for name in names]

    def add(self, name: str) -> Worker:
        return Worker(name, self.state, self.ledger, self.clock)

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.now_ms += LEASE_MS // 4
            for worker in self.workers:
                worker.beat()

    def shares(self) -> list[int]:
        return sorted(len(worker.owned) for worker in self.workers)


def test_one_worker_has_all_and_reads_from_where_the_ledger_is() -> None:
    house = House("a")
    house.beat()
    (worker,) = house.workers
    assert worker.partitions.positions == {p: p * 10 for p in range(COUNT)}
    assert worker.owned == set(range(COUNT))


def test_a_second_worker_gets_its_share_and_the_first_stops_reading_that() -> None:
    house = House("a")
    house.beat()
    house.workers.append(house.add("b"))
    house.beat(4)
    assert house.shares() == [3, 4]
    first, second = house.workers
    assert first.owned | second.owned == set(range(COUNT))
    assert (first.read, second.read) == (first.owned, second.owned)


def test_where_the_log_has_a_group_of_its_own_a_worker_owns_what_the_group_says() -> None:
    house = House("a", "b")
    first, second = house.workers
    first.log.given, second.log.given = frozenset({0, 1, 2, 3, 4, 5}), frozenset({6})
    house.beat(2)
    assert (first.owned, second.owned) == ({0, 1, 2, 3, 4, 5}, {6})
    first.busy = {3}
    first.log.given, second.log.given = frozenset({0, 1}), frozenset({2, 3, 4, 5, 6})
    house.beat(3)
    assert (first.owned, second.owned) == ({0, 1, 3}, {2, 4, 5, 6}), "3 is under way yet"
    first.busy.clear()
    house.beat(2)
    assert (first.owned, second.owned) == ({0, 1}, {2, 3, 4, 5, 6})


def test_who_is_given_nothing_by_the_group_takes_nothing() -> None:
    house = House("a")
    (worker,) = house.workers
    worker.log.given = frozenset()
    house.beat(3)
    assert worker.owned == set()


def test_what_is_under_way_is_finished_before_it_is_handed_over() -> None:
    house = House("a")
    house.beat()
    (first,) = house.workers
    first.busy = set(range(COUNT))
    house.workers.append(second := house.add("b"))
    house.beat(4)
    assert (first.owned, second.owned) == (set(range(COUNT)), set())
    stopped = {p for p, how in first.lanes.items() if how == "stopped"}
    assert len(stopped) == 3
    assert first.read == first.owned - stopped
    first.busy.clear()
    house.beat(2)
    assert second.owned == stopped


def test_what_is_leaving_already_counts_when_one_more_worker_comes() -> None:
    house = House("a")
    house.beat()
    (first,) = house.workers
    first.busy = set(range(COUNT))
    for name, leaving in (("b", 3), ("c", 4)):
        house.workers.append(house.add(name))
        house.beat(2)
        assert [*first.lanes.values()].count("stopped") == leaving
    first.busy.clear()
    house.beat(3)
    assert house.shares() == [1, 3, 3], "nobody has more than a fair share, rounded up"


def test_a_lease_of_ones_own_with_another_token_is_taken_up_anew() -> None:
    house = House("a")
    house.beat()
    (worker,) = house.workers
    token = worker.partitions.tokens[2] + 5
    house.state.leases[2] = ("a", token, house.clock.now_ms + LEASE_MS)
    worker.partitions.positions[2] = 77
    house.beat()
    assert worker.partitions.tokens[2] == token
    assert worker.partitions.positions[2] == 20, "as the ledger says"


def test_a_partition_that_was_just_handed_over_was_claimed_back() -> None:
    house = House("a", "b")
    house.workers[0].beat()
    first, second = house.workers
    second.beat()
    first.beat()
    handed = set(range(COUNT)) - first.owned
    assert len(handed) == 3
    assert all(house.state.leases[p][0] == "" for p in handed)
    assert all(how == "open" for how in first.lanes.values())
    second.beat()
    assert second.owned == handed


def test_what_was_won_while_the_ledger_was_away_is_claimed_once_it_is_back() -> None:
    house = House("a")
    (worker,) = house.workers
    house.ledger.away = True
    assert not worker.beat()
    assert len(house.state.leases) == COUNT
    assert worker.owned == set()
    house.ledger.away = False
    assert worker.beat()
    assert worker.owned == set(range(COUNT))


def test_leases_that_ran_out_are_lost_and_another_has_them() -> None:
    house = House("a")
    house.beat()
    (first,) = house.workers
    house.clock.now_ms += LEASE_MS + 1
    second = house.add("b")
    second.beat()
    assert second.owned == set(range(COUNT))
    first.beat()
    assert first.owned == first.read == set(first.lanes) == set()


def test_after_the_clock_was_set_back_tokens_pass_those_of_the_ledger() -> None:
    house = House("a")
    house.beat()
    old = dict(house.workers[0].partitions.tokens)
    house.state.leases.clear()  # the state need not outlive a power cut
    house.state.beats.clear()
    house.clock.now_ms -= 500_000
    house.workers = [house.add("b")]
    house.beat(3)
    new = house.workers[0].partitions.tokens
    assert all(new[partition] > old[partition] for partition in range(COUNT))


def test_what_was_read_under_an_earlier_lease_moves_no_position() -> None:
    house = House("a")
    house.beat()
    partitions = house.workers[0].partitions
    noted = dict(partitions.tokens)
    partitions.lose(1)
    partitions.tokens[2] += 1
    partitions.advance(dict.fromkeys(range(3), 99), noted)
    assert [partitions.positions.get(p) for p in range(3)] == [99, None, 20]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await work()

    asyncio.run(main())


def test_a_drain_hands_over_what_is_idle_at_once_and_the_rest_when_it_is_done() -> None:
    house = House("a")
    house.beat()
    (worker,) = house.workers
    worker.busy = {3}

    async def work() -> None:
        drain = asyncio.ensure_future(worker.partitions.drain(5))
        for _ in range(20):
            await asyncio.sleep(0)
        assert worker.owned == {3}
        assert worker.read == set()
        worker.busy.clear()
        await drain

    run(work)
    assert worker.owned == set()
    assert house.state.beats == {}


def test_a_drain_that_takes_too_long_lets_everything_go() -> None:
    house = House("a")
    house.beat()
    (worker,) = house.workers
    worker.busy = {3}
    run(lambda: worker.partitions.drain(0.01))
    assert {owner for owner, _, _ in house.state.leases.values()} == {""}
    assert house.state.beats == {}


def test_a_state_that_is_away_does_not_keep_a_worker_from_ending() -> None:
    house = House("a")
    house.beat()
    house.state.away = True
    run(lambda: house.workers[0].partitions.drain(5))


def test_who_drains_takes_nothing_anew() -> None:
    house = House("a", "b")
    house.beat(4)
    first, second = house.workers
    second.busy = set(second.owned)
    second.partitions._draining = True
    for worker in (first, second):
        house.state.leases |= dict.fromkeys(first.owned, ("", 0, 0))
        worker.beat()
    assert second.owned == second.busy


def test_a_state_that_is_away_for_longer_than_a_lease_costs_the_partitions() -> None:
    house = House("a")
    (worker,) = house.workers
    partitions = worker.partitions
    partitions._lease_s = 0.02

    async def work() -> None:
        keeping = asyncio.ensure_future(partitions.keep())
        while not worker.owned:
            await asyncio.sleep(0)
        house.state.away = True
        while worker.owned:
            await asyncio.sleep(0.001)  # until its patience, which is real time, is over
        house.state.away = False
        house.state.leases.clear()
        while worker.owned != set(range(COUNT)):
            await asyncio.sleep(0.001)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    run(work)


class Model(RuleBasedStateMachine):
    """Workers that come, go, stall and lose their stores, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House("a", "b", "c")
        self.stalled: set[str] = set()

    def worker(self, number: int) -> Worker:
        return self.house.workers[number]

    @rule(number=st.integers(0, 2), later_ms=st.integers(0, LEASE_MS // 3))
    def beat(self, number: int, later_ms: int) -> None:
        self.house.clock.now_ms += later_ms
        self.worker(number).beat()

    @rule(number=st.integers(0, 2), chosen=st.sets(st.integers(0, COUNT - 1)))
    def work(self, number: int, chosen: set[int]) -> None:
        worker = self.worker(number)
        worker.busy = chosen & {p for p, how in worker.lanes.items() if how == "open"}

    @rule()
    def a_lease_passes_in_which_nobody_is_heard_of(self) -> None:
        self.house.clock.now_ms += LEASE_MS + 1

    @rule()
    def the_clock_is_set_back(self) -> None:
        self.house.clock.now_ms -= LEASE_MS // 2

    @rule(away=st.booleans())
    def the_ledger_goes_or_comes(self, away: bool) -> None:
        self.house.ledger.away = away

    @rule(away=st.booleans())
    def the_state_goes_or_comes(self, away: bool) -> None:
        self.house.state.away = away

    @precondition(lambda self: not self.house.state.away)
    @rule()
    def the_state_forgets(self) -> None:
        self.house.state.leases.clear()

    @rule()
    def all_is_well_for_a_while(self) -> None:
        house = self.house
        house.ledger.away = house.state.away = False
        for worker in house.workers:
            worker.busy.clear()
        house.clock.now_ms += LEASE_MS + 1  # what is left of odd times has run out
        house.beat(12)
        assert house.shares() in ([1, 3, 3], [2, 2, 3])
        assert set().union(*(worker.read for worker in house.workers)) == set(range(COUNT))

    @invariant()
    def at_most_one_can_write(self) -> None:
        for partition, token in self.house.ledger.tokens.items():
            writers = [
                worker.name
                for worker in self.house.workers
                if worker.partitions.tokens.get(partition) == token
            ]
            assert len(writers) <= 1, f"{writers} write to {partition}"

    @invariant()
    def only_what_is_owned_and_not_leaving_is_read(self) -> None:
        for worker in self.house.workers:
            assert worker.owned == set(worker.lanes)
            assert worker.read == {p for p, how in worker.lanes.items() if how == "open"}


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPartitionsModel = Model.TestCase
