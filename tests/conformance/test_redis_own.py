"""What the log in Redis promises beyond every log: its offsets, its bounds, a full server."""

import asyncio
import os
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.servers.redis import RedisProcess

from comporta.domain.event import Record
from comporta.errors import ConfigError, SchemaTooNewError, StoreUnavailableError
from comporta.log.redis.log import RedisLog
from comporta.testing.conformance.records import (
    ALL_BYTES,
    ENOUGH,
    append_all,
    end_of,
    opened,
    read_all,
    record,
    until,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(server: RedisProcess) -> None:
    server.cli("FLUSHALL")
    server.cli("CONFIG", "SET", "maxmemory", "0")


def log_on(server: RedisProcess, partitions: int = 4) -> RedisLog:
    return RedisLog(server.url, partitions, body_bytes_max=20 << 20)


def test_offsets_go_on_above_those_of_data_that_was_lost(server: RedisProcess) -> None:
    async def last_offset() -> int:
        log = log_on(server, 1)
        async with opened(log):
            await append_all(log, [record() for _ in range(2_000)])
            return (await end_of(log))[0]

    before = asyncio.run(last_offset())
    server.cli("FLUSHALL")
    assert asyncio.run(last_offset()) - 2_000 >= before


def test_offsets_are_above_the_watermark_though_a_replica_that_took_over_lacks_entries(
    server: RedisProcess,
) -> None:
    async def run() -> None:
        log = log_on(server, 1)
        async with opened(log):
            await log.append(record())
            ahead = (await end_of(log))[0] + 3_600_000_000
            await log.commit({0: ahead})
            await log.append(record(0, b"after"))
            batch = await log.read({0: ahead}, ENOUGH, ALL_BYTES)
            assert [entry.record.body for entry in batch.entries] == [b"after"]

    asyncio.run(run())


def test_a_watermark_of_somebody_who_is_behind_changes_nothing(server: RedisProcess) -> None:
    async def run() -> None:
        one, other = log_on(server, 1), log_on(server, 1)
        async with opened(one, other):
            await append_all(one, [record(0, b"%d" % n) for n in range(3)])
            first, second, _third = await read_all(one)
            await one.commit({0: second.offset})
            await other.commit({0: first.offset})
            assert await one.lag() == 1

    asyncio.run(run())


def test_a_script_that_the_server_has_forgotten_is_told_again(server: RedisProcess) -> None:
    async def run() -> None:
        log = log_on(server)
        async with opened(log):
            for _ in range(3):
                await append_all(log, [record(p) for p in range(4)])
                server.cli("SCRIPT", "FLUSH")
            assert len(await read_all(log)) == 12

    asyncio.run(run())


def test_what_is_committed_is_given_back_to_the_server(server: RedisProcess) -> None:
    async def run() -> None:
        log = log_on(server, 2)
        async with opened(log):
            for _ in range(10):
                await append_all(log, [record(p, os.urandom(50_000)) for p in (0, 1)])
            assert (await log.room()).used_bytes > 1_000_000
            await log.commit(await end_of(log))
            assert (await log.room()).used_bytes < 10_000
            assert server.cli("XLEN", "comporta:log:{0}:entries") == "0"

    asyncio.run(run())


async def fill(log: RedisLog) -> int:
    """Append until it is refused; how many were stored."""
    for stored in range(100):
        try:
            await log.append(record(0, os.urandom(1 << 20)))
        except StoreUnavailableError:
            return stored
    raise AssertionError("it is never full")


def test_a_full_server_refuses_appends_in_words_and_a_commit_makes_room(
    server: RedisProcess,
) -> None:
    async def run() -> None:
        log = log_on(server, 1)
        async with opened(log):
            server.cli("CONFIG", "SET", "maxmemory", "20mb")
            stored = await fill(log)
            server.cli("CONFIG", "SET", "maxmemory", "10mb")  # far beyond it
            assert "maxmemory" in log.health().error
            entries = await read_all(log)
            assert len(entries) == stored
            assert await log.lag() == stored
            await log.commit(await end_of(log))

            async def healthy() -> bool:
                return not log.health().error

            await until("appends work again", healthy, 5.0)
            await log.append(record(0, b"after"))
            assert await log.lag() == 1

    asyncio.run(run())


def test_what_a_read_brings_is_bounded_though_every_partition_has_large_bodies(
    server: RedisProcess,
) -> None:
    partitions, body_bytes, bytes_max = 12, 300_000, 1_000_000

    async def run() -> None:
        log = log_on(server, partitions)
        async with opened(log):
            for _ in range(2):
                for partition in range(partitions):
                    await log.append(record(partition, os.urandom(body_bytes)))
            after = dict.fromkeys(range(partitions), 0)
            reads = 0
            found: list[Record] = []
            while len(found) < 2 * partitions:
                batch = await log.read(after, ENOUGH, bytes_max)
                size = sum(len(entry.record.body) for entry in batch.entries)
                assert bytes_max <= size + body_bytes or len(batch.entries) == 24 - len(found)
                assert size <= bytes_max + body_bytes
                found += [entry.record for entry in batch.entries]
                after = batch.reached
                reads += 1
                assert reads <= 2 * partitions

    asyncio.run(run())


def test_one_partition_with_a_backlog_does_not_hold_up_the_others(server: RedisProcess) -> None:
    async def run() -> None:
        log = log_on(server, 4)
        async with opened(log):
            for _ in range(300):
                await log.append(record(0, b"x" * 1_000))
            await append_all(log, [record(p, b"late") for p in (1, 2, 3)])
            start = dict.fromkeys(range(4), 0)
            batch = await log.read(start, 40, 1 << 20)
            assert {entry.record.partition for entry in batch.entries} == {0, 1, 2, 3}
            one_by_one = [await log.read(start, 1, 1 << 20) for _ in range(4)]
            assert {one.entries[0].record.partition for one in one_by_one} == {0, 1, 2, 3}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (msgspec.msgpack.encode((99, "of tomorrow")), SchemaTooNewError),
        (b"\xc1 garbage", StoreUnavailableError),
    ],
)
def test_an_entry_that_cannot_be_read_is_said_to_be_so_and_stays(
    server: RedisProcess, frame: bytes, error: type[Exception]
) -> None:
    async def run() -> None:
        log = log_on(server, 1)
        async with opened(log):
            await log.append(record())
            offset = (await end_of(log))[0] + 5
            fields = ("n", "1", "total", "2", "frame", frame)
            await log._server.one("XADD", "comporta:log:{0}:entries", f"{offset}-0", *fields)
            await log._server.one("HSET", "comporta:log:{0}:meta", "last", offset)
            for _ in range(2):
                with pytest.raises(error):
                    await read_all(log)

    asyncio.run(run())


@pytest.mark.parametrize("partitions", [0, 63])
def test_a_number_of_partitions_that_no_log_has_is_refused(partitions: int) -> None:
    with pytest.raises(ConfigError, match="partitions"):
        RedisLog("redis://127.0.0.1", partitions, body_bytes_max=1)


def test_sixty_two_partitions_work(server: RedisProcess) -> None:
    async def run() -> None:
        log = log_on(server, 62)
        async with opened(log):
            await append_all(log, [record(p) for p in range(62)])
            assert await log.lag() == len(await read_all(log)) == 62

    asyncio.run(run())


def test_another_number_of_partitions_than_the_first_one_is_refused(server: RedisProcess) -> None:
    async def run() -> None:
        async with opened(log_on(server, 4)):
            pass
        with pytest.raises(ConfigError, match="made with 4 partitions, not 5"):
            await log_on(server, 5).open()

    asyncio.run(run())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.integers(0, 2), min_size=1, max_size=9)),
        st.tuples(st.just("commit"), st.tuples(st.integers(0, 2), st.integers(0, 60))),
        st.tuples(st.just("read"), st.tuples(st.integers(0, 2), st.integers(0, 60))),
    ),
    max_size=25,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps)
def test_reads_and_lag_are_those_of_a_list_whatever_is_appended_and_committed(
    server: RedisProcess, story: list[tuple[str, object]]
) -> None:
    server.cli("FLUSHALL")
    asyncio.run(_play(log_on(server, 3), story))


async def _play(log: RedisLog, story: list[tuple[str, object]]) -> None:
    """Each partition beside a list of (offset, body), and the place up to which it is committed."""
    known: list[list[tuple[int, bytes]]] = [[], [], []]
    committed = [0, 0, 0]
    number = 0
    async with opened(log):
        for kind, what in story:
            if kind == "append":
                assert isinstance(what, list)
                bodies = [(p, b"%d" % (number + n)) for n, p in enumerate(what)]
                number += len(what)
                await append_all(log, [record(p, body) for p, body in bodies])
                after = {p: rows[-1][0] if rows else 0 for p, rows in enumerate(known)}
                for entry in (await log.read(after, ENOUGH, ALL_BYTES)).entries:
                    known[entry.record.partition].append((entry.offset, entry.record.body))
                assert [body for _, body in known[bodies[-1][0]]][-1] == bodies[-1][1]
                continue
            assert isinstance(what, tuple)
            partition, place = what
            rows = known[partition]
            offset = rows[min(place, len(rows) - 1)][0] if rows else 0
            if kind == "commit":
                log._saved_at = 0.0  # not held back
                await log.commit({partition: offset})
                committed[partition] = max(committed[partition], offset)
            else:
                found = await log.read({partition: offset}, ENOUGH, ALL_BYTES)
                low = committed[partition]  # what is below may be there still
                kept = [(e.offset, e.record.body) for e in found.entries if e.offset > low]
                assert kept == [row for row in rows if row[0] > max(low, offset)]
                assert all(entry.offset > offset for entry in found.entries)
            open_rows = [
                sum(at > c for at, _ in rows) for rows, c in zip(known, committed, strict=True)
            ]
            assert await log.lag() == sum(open_rows)
