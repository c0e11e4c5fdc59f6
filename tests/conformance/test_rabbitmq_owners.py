"""Who consumes a queue of the log on RabbitMQ, and what becomes of what it held: nothing is lost.

Nothing comes out of order either, however often the owner dies.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from subprocess import Popen

import pytest
from tests.support.servers.rabbitmq import RabbitServer

from comporta.errors import StoreUnavailableError
from comporta.log.port import Batch, Log
from comporta.log.rabbitmq import reading
from comporta.log.rabbitmq.consumer import WINDOW
from comporta.log.rabbitmq.log import RabbitLog
from comporta.testing.conformance.children import running
from comporta.testing.conformance.records import (
    ALL_BYTES,
    ENOUGH,
    append_all,
    end_of,
    opened,
    read_all,
    record,
    take_all,
    until,
)

PARTITIONS = 4
TAKE_OVER_S = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    with RabbitServer(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def place(server: RabbitServer, tmp_path: Path) -> str:
    server.ensure()
    return f"{server.url}?prefix={tmp_path.name[-60:]}"


def make(place: str) -> Log:
    return RabbitLog(place, PARTITIONS, body_bytes_max=20 << 20)


def fill(place: str, count: int, partition: int = 0) -> list[bytes]:
    """Append one by one: each is a message of its own."""

    async def run() -> list[bytes]:
        log = make(place)
        bodies = [b"%d" % n for n in range(count)]
        async with opened(log):
            for body in bodies:
                await log.append(record(partition, body))
        return bodies

    return asyncio.run(run())


async def read_some(log: Log, count: int) -> Batch:
    """What the first partition's queue gives once it has given so many events."""

    async def enough() -> Batch | None:
        batch = await log.read({0: 0}, ENOUGH, ALL_BYTES)
        return batch if len(batch.entries) >= count else None

    return await until(f"{count} events are there", enough) or Batch((), {})


def lines(owner: Popen[bytes], count: int) -> list[bytes]:
    assert owner.stdout is not None
    return [owner.stdout.readline().strip() for _ in range(count)]


def rest(place: str) -> list[bytes]:
    async def run() -> list[bytes]:
        log = make(place)
        async with opened(log):
            return [entry.record.body for entry in await take_all(log)]

    return asyncio.run(run())


def test_owners_that_are_killed_with_a_full_window_put_nothing_out_of_order(place: str) -> None:
    bodies = fill(place, 5 * WINDOW)
    begins = 0
    for commits in (0, 5, WINDOW, 0, 1):
        with running("tests.support.owner", f"{__name__}:make", place, "0", str(commits)) as owner:
            assert lines(owner, WINDOW + commits) == bodies[begins : begins + WINDOW + commits]
            owner.send_signal(signal.SIGKILL)
        begins += commits
    # What was committed just before the end may not have arrived: it comes again, in its order.
    left = rest(place)
    assert left == bodies[len(bodies) - len(left) :]
    assert len(bodies) - begins <= len(left) <= len(bodies)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_owners_read_and_commit_each_event_is_seen_and_in_order(
    place: str, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311  (no secret)
    owners = 12
    bodies = fill(place, (owners + 1) * WINDOW)  # more than all of them can commit

    async def one_owner() -> list[bytes]:
        log = make(place)
        async with opened(log):
            await read_some(log, 1)
            batch = await log.read({0: 0}, chance.randint(1, 20), ALL_BYTES)
            committed = batch.entries[: chance.randint(0, len(batch.entries))]
            if committed:
                await log.commit({0: committed[-1].offset})
            return [entry.record.body for entry in batch.entries]

    seen: list[bytes] = []
    for _owner in range(owners):
        read = asyncio.run(one_owner())
        assert read == bodies[bodies.index(read[0]) :][: len(read)]
        seen += [body for body in read if body not in seen]
    seen += [body for body in rest(place) if body not in seen]
    assert seen == bodies


def test_what_a_killed_owner_held_is_taken_over_at_once(place: str) -> None:
    bodies = fill(place, 3)

    async def heir() -> float:
        log = make(place)
        async with opened(log):

            async def nothing() -> bool:
                return not (await log.read({0: 0}, ENOUGH, ALL_BYTES)).entries

            assert await nothing()
            owner.send_signal(signal.SIGKILL)
            began = time.monotonic()

            async def all_of_it() -> bool:
                batch = await log.read({0: 0}, ENOUGH, ALL_BYTES)
                return [entry.record.body for entry in batch.entries] == bodies

            await until("the heir has it", all_of_it)
            return time.monotonic() - began

    with running("tests.support.owner", f"{__name__}:make", place, "0", "0") as owner:
        lines(owner, 3)
        assert asyncio.run(heir()) < TAKE_OVER_S / 2


def test_a_frozen_owner_loses_its_place_within_ten_seconds(place: str) -> None:
    bodies = fill(place, 3)

    async def heir() -> float:
        log = make(place)
        async with opened(log):
            began = time.monotonic()

            async def all_of_it() -> bool:
                batch = await log.read({0: 0}, ENOUGH, ALL_BYTES)
                return [entry.record.body for entry in batch.entries] == bodies

            await until("the heir has it", all_of_it, 2 * TAKE_OVER_S)
            return time.monotonic() - began

    with running("tests.support.owner", f"{__name__}:make", place, "0", "0") as owner:
        lines(owner, 3)
        owner.send_signal(signal.SIGSTOP)
        assert asyncio.run(heir()) < TAKE_OVER_S


@pytest.mark.parametrize("asked_then", [{}, {1: 0}])
def test_a_partition_that_is_not_asked_for_any_more_goes_to_the_next_in_order(
    place: str, asked_then: dict[int, int]
) -> None:
    bodies = fill(place, WINDOW + 4)

    async def run() -> None:
        one, other = make(place), make(place)
        async with opened(one, other):
            assert len((await read_some(one, WINDOW)).entries) == WINDOW
            assert not (await other.read({0: 0}, ENOUGH, ALL_BYTES)).entries
            await one.read(asked_then, ENOUGH, ALL_BYTES)
            seen: list[bytes] = []

            async def all_of_it() -> bool:
                batch = await other.read({0: 0}, ENOUGH, ALL_BYTES)
                await other.commit(batch.reached)
                seen.extend(entry.record.body for entry in batch.entries)
                return seen == bodies

            await until("the other has all", all_of_it, 5.0)

    asyncio.run(run())


def test_the_same_read_brings_the_same_until_it_is_committed(place: str) -> None:
    fill(place, 5)

    async def run() -> None:
        log = make(place)
        async with opened(log):
            first = await read_some(log, 5)
            assert await log.read({0: 0}, ENOUGH, ALL_BYTES) == first
            middle = first.entries[2].offset
            await log.commit({0: middle})
            again = await log.read({0: middle}, ENOUGH, ALL_BYTES)
            assert again.entries == first.entries[3:]

    asyncio.run(run())


def test_only_whole_messages_are_forgotten_and_a_part_can_be_read_on(place: str) -> None:
    async def run() -> None:
        log = make(place)
        async with opened(log):
            await append_all(log, [record(0, b"%d" % n) for n in range(10)])
            first = await log.read({0: 0}, 4, ALL_BYTES)
            assert [entry.record.body for entry in first.entries] == [b"0", b"1", b"2", b"3"]
            await log.commit(first.reached)
            then = await log.read(first.reached, ENOUGH, ALL_BYTES)
            assert [entry.record.body for entry in then.entries][:2] == [b"4", b"5"]
        again = make(place)
        async with opened(again):
            assert [e.record.body for e in await read_all(again, [0])][:2] == [b"0", b"1"]

    asyncio.run(run())


def test_what_comes_again_after_a_lost_connection_has_new_offsets_and_the_old_ids(
    server: RabbitServer, place: str
) -> None:
    fill(place, 5)

    async def run() -> None:
        log = make(place)
        async with opened(log):
            before = await read_all(log, [0])
            await asyncio.to_thread(server.ctl, "close_all_connections", "a test")
            top = before[-1].offset

            async def again() -> bool:
                try:
                    batch = await log.read({0: top}, ENOUGH, ALL_BYTES)
                except StoreUnavailableError:
                    return False
                assert all(entry.offset > top for entry in batch.entries)
                uids = [entry.record.uid for entry in batch.entries]
                return uids == [entry.record.uid for entry in before]

            await until("it comes again", again)
            await log.commit({0: top})  # of before: it says nothing of what came again
            assert len(await read_all(log, [0])) == 5

    asyncio.run(run())


def test_memory_is_bounded_by_letting_go_of_what_holds_most(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 1 << 20
    monkeypatch.setattr(reading, "HELD_BYTES_MAX", 6 * size)

    async def run() -> None:
        log = make(place)
        assert isinstance(log, RabbitLog)
        sent = [record(n % PARTITIONS, b"%d" % n + os.urandom(size)) for n in range(40)]
        async with opened(log):
            for one in sent:
                await log.append(one)
            found: list[bytes] = []
            after = dict.fromkeys(range(PARTITIONS), 0)

            async def all_of_it() -> bool:
                nonlocal after
                batch = await log.read(after, ENOUGH, 2 * size)
                held = sum(one.held_bytes for one in log._reader._consumers.values())
                assert held <= 6 * size or len(log._reader._consumers) == 1
                found.extend(entry.record.body for entry in batch.entries)
                after = batch.reached
                await log.commit(after)
                return len(set(found)) == 40

            await until("all is read", all_of_it, 30.0)
            for partition in range(PARTITIONS):
                mine = [one.body for one in sent if one.partition == partition]
                theirs = [body for body in dict.fromkeys(found) if body in mine]
                assert theirs == mine

    asyncio.run(run())


def test_lag_counts_messages_what_is_held_in_events_and_ends_at_zero(place: str) -> None:
    async def run() -> None:
        log = make(place)
        async with opened(log):
            assert await log.lag() == 0
            await append_all(log, [record(n % PARTITIONS) for n in range(100)])
            assert PARTITIONS <= await log.lag() <= 100
            last = await end_of(log)
            assert await log.lag() == 100

            async def settled() -> bool:
                await log.commit(last)
                return await log.lag() == 0

            await until("lag settles to zero", settled)

    asyncio.run(run())
