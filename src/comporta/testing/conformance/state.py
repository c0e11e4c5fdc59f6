"""What every shared state must do, whatever engine it has.

    class TestMyState(StateSuite):
        maker = "mypackage.mytests:make"  # make(place: str) -> State, not opened

        def place(self, folder): ...  # what `make` is given; two states of one place share it

It needs a fixture `folder`: a new place that outlives the states that are made for it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from pkgutil import resolve_name
from subprocess import Popen
from typing import ClassVar, TypeVar

from comporta.domain.breaker import BreakerState
from comporta.domain.rate import Rate
from comporta.state.port import Lease, Rejected, State, WorkerRow
from comporta.testing.conformance import grabber, taker
from comporta.testing.conformance.children import running

T = TypeVar("T")
NOW_MS = 1_795_500_000_000
LEASE_S = 4.0
LEASE_MS = 4_000
PARTITIONS = 8


def worker(name: str, beat_at_ms: int = NOW_MS, partitions: int = 0) -> WorkerRow:
    return WorkerRow(name, 4711, NOW_MS, beat_at_ms, partitions)


def refusal(number: int) -> Rejected:
    headers = (("user-agent", "Ruby"), ("x-odd", "é\x80"))
    return Rejected(NOW_MS + number, 401, "why", "POST", "/webhook", "1.2.3.4", "", headers, number)


class StateSuite:
    """The tests; see the module."""

    maker: ClassVar[str]
    """`module:function` that makes a state, not opened, from a place; child processes call it."""

    def place(self, folder: Path) -> str:
        """What the maker is given."""
        raise NotImplementedError

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[State]:
        state: State = resolve_name(self.maker)(self.place(folder))
        await state.open()
        try:
            yield state
        finally:
            await state.close()

    def grabbing(self, folder: Path, name: str) -> AbstractContextManager[Popen[bytes]]:
        """A process that takes leases of `PARTITIONS` as fast as it can and prints what it got."""
        return running(grabber.__name__, self.maker, self.place(folder), name)

    def taking(
        self, folder: Path, per_s: float, seconds: float
    ) -> AbstractContextManager[Popen[bytes]]:
        """A process that calls `dst` as often as this rate allows, and prints how often it was."""
        return running(taker.__name__, self.maker, self.place(folder), str(per_s), str(seconds))

    def play(self, folder: Path, story: Callable[[State], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self.opened(folder) as state:
                return await story(state)

        return asyncio.run(run())

    async def take(
        self, state: State, name: str, wanted: int = PARTITIONS, now_ms: int = NOW_MS
    ) -> dict[int, int]:
        leases = await state.acquire(name, range(PARTITIONS), wanted, LEASE_S, now_ms)
        return {lease.partition: lease.token for lease in leases}

    def test_only_what_was_asked_for_is_taken_and_the_first_ones_first(self, folder: Path) -> None:
        async def story(state: State) -> None:
            some = await state.acquire("a", [5, 2, 7], 2, LEASE_S, NOW_MS)
            assert sorted(lease.partition for lease in some) == [2, 5]
            more = await state.acquire("b", [2, 7], 9, LEASE_S, NOW_MS)
            assert [lease.partition for lease in more] == [7]
            assert await state.acquire("c", [], 9, LEASE_S, NOW_MS) == []

        self.play(folder, story)

    def test_what_was_refused_before_a_moment_is_forgotten(self, folder: Path) -> None:
        async def story(state: State) -> None:
            await state.reject([refusal(n) for n in (1, 2, 3)], 10)
            assert not await state.forget_rejected(NOW_MS + 1, 10)
            assert len(await state.rejected(10)) == 3
            assert not await state.forget_rejected(NOW_MS + 3, 10)
            assert [one.at_ms for one in await state.rejected(10)] == [NOW_MS + 3]

        self.play(folder, story)

    def test_what_was_refused_is_forgotten_oldest_first_and_a_few_at_a_time(
        self, folder: Path
    ) -> None:
        async def story(state: State) -> None:
            await state.reject([refusal(n) for n in range(5)], 10)
            assert await state.forget_rejected(NOW_MS + 4, 2), "there may be more"
            assert len(await state.rejected(10)) == 3
            assert await state.forget_rejected(NOW_MS + 4, 2)
            assert not await state.forget_rejected(NOW_MS + 4, 2)
            assert len(await state.rejected(10)) == 1

        self.play(folder, story)

    def test_a_worker_says_where_it_is_and_whether_it_dispatches(self, folder: Path) -> None:
        async def story(state: State) -> None:
            one = WorkerRow("a", 1, NOW_MS, NOW_MS, 3, "comporta-1")
            other = WorkerRow("b", 1, NOW_MS, NOW_MS, 0, "comporta-2", dispatches=False)
            await state.beat(one, LEASE_S)
            assert await state.beat(other, LEASE_S) == [one, other]
            assert await state.workers(NOW_MS, LEASE_S) == [one, other]

        self.play(folder, story)

    def test_a_duty_is_one_holders_until_its_lease_has_run_out(self, folder: Path) -> None:
        async def story(state: State) -> None:
            assert await state.hold("prune", "a", LEASE_S, NOW_MS)
            assert not await state.hold("prune", "b", LEASE_S, NOW_MS + LEASE_MS)
            assert await state.hold("alert", "b", LEASE_S, NOW_MS), "another duty"
            assert await state.hold("prune", "a", LEASE_S, NOW_MS + LEASE_MS), "kept"
            assert not await state.hold("prune", "b", LEASE_S, NOW_MS + 2 * LEASE_MS)
            assert await state.hold("prune", "b", LEASE_S, NOW_MS + 2 * LEASE_MS + 1)
            assert not await state.hold("prune", "a", LEASE_S, NOW_MS + 2 * LEASE_MS + 1)

        self.play(folder, story)

    def test_a_duty_that_was_given_back_is_free_at_once(self, folder: Path) -> None:
        async def story(state: State) -> None:
            assert await state.hold("prune", "a", LEASE_S, NOW_MS)
            await state.let_go("prune", "b")
            assert not await state.hold("prune", "b", LEASE_S, NOW_MS), "it was not b's to give"
            await state.let_go("prune", "a")
            assert await state.hold("prune", "b", LEASE_S, NOW_MS)

        self.play(folder, story)

    def test_a_duty_that_was_taken_before_the_clock_was_set_back_is_free(
        self, folder: Path
    ) -> None:
        async def story(state: State) -> None:
            assert await state.hold("prune", "a", LEASE_S, NOW_MS + 3_600_000)
            assert await state.hold("prune", "b", LEASE_S, NOW_MS)

        self.play(folder, story)

    def test_a_partition_has_one_owner(self, folder: Path) -> None:
        async def story(state: State) -> None:
            mine = await self.take(state, "a", 5)
            rest = await self.take(state, "b")
            assert len(mine) == 5
            assert set(mine) | set(rest) == set(range(PARTITIONS))
            assert not set(mine) & set(rest)
            assert await self.take(state, "c") == {}
            assert await state.held("a", NOW_MS) == [Lease(*pair) for pair in sorted(mine.items())]

        self.play(folder, story)

    def test_what_a_dead_worker_left_in_the_future_holds_up_nobody_after_the_clock_was_set_back(
        self, folder: Path
    ) -> None:
        async def story(state: State) -> None:
            later_ms = NOW_MS + 600_000
            dead = await self.take(state, "dead", now_ms=later_ms)
            await state.beat(worker("dead", later_ms), LEASE_S)
            alive = await state.beat(worker("new", NOW_MS), LEASE_S)
            assert [one.id for one in alive] == ["new"]
            won = await self.take(state, "new")
            assert set(won) == set(range(PARTITIONS))
            assert all(won[partition] > token for partition, token in dead.items())

        self.play(folder, story)

    def test_a_lease_runs_out_unless_it_is_renewed_and_the_next_token_is_higher(
        self, folder: Path
    ) -> None:
        async def story(state: State) -> None:
            first = await self.take(state, "a", 1)
            half_ms = NOW_MS + LEASE_MS // 2
            await state.beat(worker("a", half_ms), LEASE_S)
            assert 0 not in await self.take(state, "b", now_ms=half_ms + LEASE_MS)
            assert await state.held("a", half_ms + LEASE_MS) != []
            assert await state.held("a", half_ms + LEASE_MS + 1) == []
            second = await self.take(state, "c", now_ms=half_ms + LEASE_MS + 1)
            assert second[0] > first[0]

        self.play(folder, story)

    def test_a_beat_does_not_bring_back_a_lease_that_has_run_out(self, folder: Path) -> None:
        async def story(state: State) -> None:
            await self.take(state, "a", 1)
            late_ms = NOW_MS + LEASE_MS + 1
            await state.beat(worker("a", late_ms), LEASE_S)
            assert await state.held("a", late_ms) == []
            assert 0 in await self.take(state, "b", now_ms=late_ms)

        self.play(folder, story)

    def test_what_is_given_back_is_free_at_once_for_others_with_a_higher_token(
        self, folder: Path
    ) -> None:
        async def story(state: State) -> None:
            mine = await self.take(state, "a")
            await state.release("a", [2, 3])
            await state.release("b", [4])  # not its own: nothing happens
            got = await self.take(state, "b")
            assert set(got) == {2, 3}
            assert all(got[partition] > mine[partition] for partition in got)
            await state.release("a", [2])  # no longer its own
            assert await self.take(state, "c") == {}

        self.play(folder, story)

    def test_tokens_rise_though_the_clock_goes_back(self, folder: Path) -> None:
        async def story(state: State) -> None:
            first = await self.take(state, "a", 1)
            await state.release("a", [0])
            second = await self.take(state, "b", 1, NOW_MS - 3_600_000)
            assert second[0] > first[0]

        self.play(folder, story)

    def test_who_leaves_is_forgotten_with_all_leases(self, folder: Path) -> None:
        async def story(state: State) -> None:
            await state.beat(worker("a"), LEASE_S)
            await self.take(state, "a")
            await state.leave("a")
            assert await state.workers(NOW_MS, LEASE_S) == []
            assert len(await self.take(state, "b")) == PARTITIONS

        self.play(folder, story)

    def test_a_beat_tells_who_lives_and_the_silent_are_as_good_as_dead(self, folder: Path) -> None:
        async def story(state: State) -> None:
            await state.beat(worker("a", partitions=3), LEASE_S)
            alive = await state.beat(worker("b", NOW_MS + 1), LEASE_S)
            assert [(row.id, row.partitions) for row in alive] == [("a", 3), ("b", 0)]
            alive = await state.beat(worker("b", NOW_MS + LEASE_MS + 1), LEASE_S)
            assert [row.id for row in alive] == ["b"]
            assert len(await state.workers(NOW_MS + LEASE_MS, LEASE_S)) == 2

        self.play(folder, story)

    def test_the_ring_of_refused_requests_keeps_the_newest(self, folder: Path) -> None:
        async def story(state: State) -> None:
            await state.reject([refusal(n) for n in range(30)], 10)
            await state.reject([refusal(n) for n in range(30, 35)], 10)
            rows = await state.rejected(100)
            assert [row.body_bytes for row in rows] == list(range(34, 24, -1))
            assert rows[0].headers == refusal(34).headers
            older = await state.rejected(3, rows[4].id)
            assert [row.body_bytes for row in older] == [29, 28, 27]

        self.play(folder, story)

    def test_what_one_says_another_knows(self, folder: Path) -> None:
        async def run() -> None:
            async with self.opened(folder) as one, self.opened(folder) as other:
                await one.beat(worker("a"), LEASE_S)
                await self.take(one, "a")
                assert [row.id for row in await other.workers(NOW_MS, LEASE_S)] == ["a"]
                assert await self.take(other, "b") == {}

        asyncio.run(run())

    def test_many_processes_at_once_never_get_the_same_lease(self, folder: Path) -> None:
        with ExitStack() as stack:
            grabbers = [stack.enter_context(self.grabbing(folder, name)) for name in "abcd"]
            lines: list[bytes] = []
            for grabber in grabbers:
                assert grabber.stdout is not None
                lines += grabber.stdout.readlines()
                assert grabber.wait(30) == 0
        got = [tuple(int(part) for part in line.split()) for line in lines]
        assert len(got) > 4 * 20
        assert len(got) == len(set(got)), "the same partition with the same token twice"

    # Breakers and rates

    def test_a_breaker_that_one_worker_opens_is_open_for_all_until_a_probe_succeeds(
        self, folder: Path
    ) -> None:
        async def run() -> None:
            async with self.opened(folder) as one, self.opened(folder) as other:
                assert await other.breakers() == {}
                opened = await one.trip("dst", NOW_MS, "HTTP 503")
                assert opened.state is BreakerState.OPEN
                assert await other.breakers() == {"dst": opened}
                assert await other.trip("dst", NOW_MS + 1, "late") == opened
                assert not (await other.probe("dst", opened.until_ms - 1, 1.0))[1]
                probes = [await who.probe("dst", opened.until_ms, 1.0) for who in (one, other) * 3]
                assert [allowed for _, allowed in probes] == [True] * 3 + [False] * 3
                assert (await one.breakers())["dst"].state is BreakerState.HALF_OPEN
                again = await one.probed("dst", opened.until_ms + 5, success=False, reason="x")
                assert again.state is BreakerState.OPEN
                assert again.until_ms - again.since_ms > opened.until_ms - opened.since_ms
                closed = await other.probed("dst", opened.until_ms + 6, success=True)
                assert closed.state is BreakerState.CLOSED
                assert await one.breakers() == {}

        asyncio.run(run())

    def test_breakers_of_different_destinations_are_apart(self, folder: Path) -> None:
        async def story(state: State) -> None:
            await state.trip("dst_a", NOW_MS, "HTTP 503", hold_s=30.0)
            assert (await state.probe("dst_b", NOW_MS, 1.0))[1]
            found = await state.breakers()
            assert [(name, one.until_ms) for name, one in found.items()] == [
                ("dst_a", NOW_MS + 30_000)
            ]

        self.play(folder, story)

    def test_a_rate_goes_on_within_a_burst_after_it_was_slower_or_the_clock_set_back(
        self, folder: Path
    ) -> None:
        async def story(state: State) -> None:
            slow, fast = Rate(1 / 3600, 1), Rate(10.0, 5)
            assert (await state.take("dst", slow, 1, NOW_MS)).granted == 1
            assert (await state.take("dst", fast, 9, NOW_MS)).granted == 0
            assert (await state.take("dst", fast, 9, NOW_MS + 500)).granted == 5
            earlier_ms = NOW_MS - 3_600_000
            assert (await state.take("dst", fast, 9, earlier_ms)).granted == 0
            assert (await state.take("dst", fast, 9, earlier_ms + 500)).granted == 5

        self.play(folder, story)

    def test_a_rate_is_used_up_by_all_together(self, folder: Path) -> None:
        rate = Rate(10.0, 5)

        async def run() -> None:
            async with self.opened(folder) as one, self.opened(folder) as other:
                first = await one.take("dst", rate, 3, NOW_MS)
                second = await other.take("dst", rate, 3, NOW_MS)
                assert (first.granted, second.granted) == (3, 2)
                assert round(second.next_at_ms) == NOW_MS + 100
                assert (await one.take("dst", rate, 1, NOW_MS + 99)).granted == 0
                assert (await one.take("dst", rate, 9, NOW_MS + 200)).granted == 2
                assert (await one.take("other", rate, 9, NOW_MS)).granted == 5

        asyncio.run(run())

    def test_many_processes_together_keep_a_rate_within_five_percent(self, folder: Path) -> None:
        per_s, seconds = 100.0, 4.0
        with ExitStack() as stack:
            takers = [stack.enter_context(self.taking(folder, per_s, seconds)) for _ in range(3)]
            began_at = time.monotonic()
            counts = []
            for one in takers:
                assert one.stdout is not None
                counts.append(int(one.stdout.read()))
                assert one.wait(30) == 0
            took_s = time.monotonic() - began_at
        # They start one after the other: together they work for longer than each of them.
        assert all(counts)
        assert per_s * seconds * 0.95 <= sum(counts) <= taker.BURST + per_s * took_s * 1.05
