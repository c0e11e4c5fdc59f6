"""What the PostgreSQL ledger keeps when its server is killed, stands still, or a connection breaks.

Nothing is recorded twice, nothing that was recorded is forgotten, and nobody has to do anything.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from tests.support.cutting_proxy import cutting
from tests.support.servers.postgresql import Postgresql

from comporta.clients.postgresql import Connection
from comporta.domain.delivery import Delivery
from comporta.errors import StoreUnavailableError
from comporta.ledger.port import DeliveryFilter, EventFilter
from comporta.ledger.postgres.dispatch import places_of
from comporta.ledger.postgres.ledger import PostgresLedger
from comporta.testing.conformance.children import running
from comporta.testing.conformance.ledger_stage import (
    DELIVERED,
    KEY,
    NOW_MS,
    TOKEN,
    new_event,
    outcome,
)

TOKENS = {0: TOKEN}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    with Postgresql() as server:
        yield server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(url)
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.close()


class Dispatch:
    """What dispatch does with a ledger: it asks again until it is told."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self.ledger = ledger
        self.refused = 0
        self.deliveries: list[Delivery] = []

    async def record(self, offsets: range) -> None:
        events = [new_event(offset) for offset in offsets]
        while True:
            try:
                recorded = await self.ledger.record(TOKENS, events, NOW_MS + offsets[0])
            except StoreUnavailableError:
                self.refused += 1
                await asyncio.sleep(0.05)
            else:
                assert recorded.fenced == frozenset()
                self.deliveries += recorded.deliveries
                return

    async def settle(self, deliveries: list[Delivery]) -> None:
        outcomes = [outcome(one, DELIVERED) for one in deliveries]
        while True:
            try:
                assert await self.ledger.settle(TOKENS, outcomes, NOW_MS) == frozenset()
            except StoreUnavailableError:
                self.refused += 1
                await asyncio.sleep(0.05)
            else:
                return


async def check(ledger: PostgresLedger, dispatch: Dispatch, events: int) -> None:
    """Each event is there once, was told of once, and has one attempt."""
    numbers = [b'{"n":%d}' % number for number in range(1, events + 1)]
    assert [one.body for one in dispatch.deliveries] == numbers
    rows = await ledger.deliveries(DeliveryFilter(limit=10 * events))
    assert sorted(row.id for row in rows) == [one.id for one in dispatch.deliveries]
    assert {row.state.value for row in rows} == {"delivered"}
    assert len(await ledger.events(EventFilter(limit=10 * events))) == events
    for row in rows[:: max(1, events // 100)]:
        assert [one.number for one in await ledger.attempts(row.id)] == [1]
    assert await ledger.refill({KEY: 0}, 10) == []


@pytest.mark.slow
def test_a_server_that_is_killed_under_load_loses_nothing_and_nothing_is_recorded_twice(
    server: Postgresql,
) -> None:
    batches, size = 300, 20

    async def kill(dispatch: Dispatch) -> None:
        for told in (500, 2500, 4500):
            while len(dispatch.deliveries) < told:
                await asyncio.sleep(0.005)
            await asyncio.to_thread(server.restart)

    async def run() -> None:
        async with opened(server.url("killed")) as ledger:
            dispatch = Dispatch(ledger)
            await ledger.claim(0, TOKEN)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(kill(dispatch))
                for number in range(batches):
                    done = len(dispatch.deliveries)
                    await dispatch.record(range(1 + number * size, 1 + (number + 1) * size))
                    tasks.create_task(dispatch.settle(dispatch.deliveries[done:]))
            assert dispatch.refused >= 3
            await check(ledger, dispatch, batches * size)

    asyncio.run(run())


@pytest.mark.parametrize("reaches", [True, False], ids=["stored", "not stored"])
def test_what_was_in_a_commit_that_broke_off_is_told_of_once_when_it_is_asked_for_again(
    server: Postgresql, reaches: bool
) -> None:
    async def run() -> None:
        async with cutting(server.port) as proxy:
            url = server.url(f"cut{reaches:d}").replace(str(server.port), str(proxy.port))
            async with opened(url) as ledger:
                dispatch = Dispatch(ledger)
                await ledger.claim(0, TOKEN)
                await dispatch.record(range(1, 4))
                proxy.arm(reaches=reaches)
                await dispatch.record(range(4, 7))
                assert (proxy.cuts, dispatch.refused) == (1, 1)
                proxy.arm(reaches=reaches)
                await dispatch.settle(dispatch.deliveries)
                assert (proxy.cuts, dispatch.refused) == (2, 2)
                await check(ledger, dispatch, 6)

    asyncio.run(run())


def test_a_server_that_stands_still_is_an_error_in_time_and_recovers_by_itself(
    server: Postgresql,
) -> None:
    async def run() -> None:
        async with opened(server.url("frozen")) as ledger:
            dispatch = Dispatch(ledger)
            await ledger.claim(0, TOKEN)
            await dispatch.record(range(1, 4))
            server.freeze()
            try:
                began_s = asyncio.get_running_loop().time()
                with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1"):
                    await ledger.record(TOKENS, [new_event(4)], NOW_MS + 4)
                assert asyncio.get_running_loop().time() - began_s < 15
            finally:
                server.thaw()
            began_s = asyncio.get_running_loop().time()
            await dispatch.record(range(4, 7))
            assert asyncio.get_running_loop().time() - began_s < 5
            await dispatch.settle(dispatch.deliveries)
            await check(ledger, dispatch, 6)

    asyncio.run(run())


def test_a_server_that_is_back_is_used_within_five_seconds(server: Postgresql) -> None:
    async def run() -> None:
        async with opened(server.url("back")) as ledger:
            await asyncio.to_thread(server.kill)
            with pytest.raises(StoreUnavailableError) as refused:
                await ledger.fleet_version()
            assert "s3cret" not in str(refused.value)
            await ledger.fleet_changed(0.01)
            await asyncio.to_thread(server.start)
            began_s = asyncio.get_running_loop().time()
            while True:
                try:
                    await ledger.fleet_version()
                    break
                except StoreUnavailableError:
                    await asyncio.sleep(0.1)
            assert asyncio.get_running_loop().time() - began_s < 5

    asyncio.run(run())


@pytest.mark.slow
def test_of_two_processes_that_record_at_once_only_the_later_owner_gets_through(
    server: Postgresql,
) -> None:
    """Each takes the partition from the other again and again, and records what comes next."""
    url, events = server.url("two"), 150
    arguments = (url, str(events))
    with (
        running("tests.support.postgres_rival", *arguments, "1") as one,
        running("tests.support.postgres_rival", *arguments, "2") as other,
    ):
        told = [process.communicate(timeout=100)[0].split() for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0]
    numbers = [int(word) for words in told for word in words]
    assert sorted(numbers) == list(range(1, events + 1))
    assert all(told)  # both had their turns


def test_what_a_process_holds_that_stands_still_in_a_transaction_is_free_in_time(
    server: Postgresql,
) -> None:
    async def stand_still(connection: Connection) -> None:
        await places_of(connection, "places_to_move", TOKENS)
        held.set()
        await asyncio.Event().wait()

    held = asyncio.Event()

    async def run() -> None:
        url = server.url("held")
        async with opened(url) as mine, opened(url) as other:
            await mine.claim(0, TOKEN)
            standing = asyncio.create_task(mine._database.work.run(stand_still))
            await held.wait()
            async with asyncio.timeout(10):
                await other.claim(0, TOKEN + 1)
            assert (await mine.record(TOKENS, [new_event(1)], NOW_MS)).fenced == {0}
            standing.cancel()
            await asyncio.wait([standing])

    asyncio.run(run())
