"""`comporta move`: a log is emptied into another, a ledger is copied, and the counts agree."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.commands import run_command
from tests.support.servers.kafka import Kafka
from tests.support.servers.postgresql import Postgresql
from tests.support.servers.rabbitmq import RabbitServer
from tests.support.servers.redis import RedisProcess

from comporta.domain.event import Record
from comporta.domain.partitioning import partition_of
from comporta.errors import ConflictError
from comporta.ledger.copying import TABLES
from comporta.ledger.port import DeliveryFilter, EventFilter, Ledger, Operation
from comporta.ledger.postgres.ledger import PostgresLedger
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.log.redis.log import RedisLog
from comporta.log.spool.file import SpoolFile
from comporta.log.sqlite import SqliteLog
from comporta.operating.moving import copy_ledger, move_log
from comporta.state.port import WorkerRow
from comporta.state.sqlite import SqliteState
from comporta.testing.conformance.ledger_stage import (
    BOT,
    CRM,
    DEAD,
    DELIVERED,
    NOW_MS,
    TOKEN,
    new_event,
    outcome,
)
from comporta.testing.conformance.records import append_all, bare, opened, read_all, record

PARTITIONS = 16


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with Postgresql() as server:
        yield server.url("moved")


def events(count: int) -> list[Record]:
    """Of 40 conversations, one after the other."""
    subjects = [f"conversation:{n % 40}" for n in range(count)]
    return [
        record(partition_of("ins_1", subject, PARTITIONS), b'{"n":%d}' % n, subject=subject)
        for n, subject in enumerate(subjects)
    ]


def move(data: Path, *words: str, fails: bool = False) -> Any:
    """`comporta move … --json`; what it printed, or the error."""
    environment = {**os.environ, "COMPORTA_DATA": str(data), "LC_ALL": "C.UTF-8"}
    said = run_command("move", *words, "--json", env=environment)
    assert (said.code != 0) == fails, said.err
    return said.err if fails else said.data


def fill(data: Path, count: int, taken: int) -> None:
    """`count` events in the embedded log, of which the ledger has `taken` in each partition."""

    async def run() -> None:
        log = SqliteLog(data / "log.db", PARTITIONS)
        ledger = SqliteLedger(data / "ledger.db")
        await ledger.open()
        async with opened(log):
            await append_all(log, events(count))
            for partition in range(PARTITIONS):
                await ledger.claim(partition, 1)
                some = (await read_all(log, [partition]))[:taken]
                if some:
                    new = [new_event(one.offset, one.record) for one in some]
                    await ledger.record({partition: 1}, new, NOW_MS)
        await ledger.close()

    data.mkdir(exist_ok=True)
    asyncio.run(run())


def test_what_waits_in_the_log_goes_to_the_other_in_order_and_nothing_that_was_taken_over(
    tmp_path: Path, redis: RedisProcess
) -> None:
    data, url = tmp_path / "data", f"{redis.url}?prefix=one"
    fill(data, 2_000, taken=5)
    first, target = f"sqlite:{data}/log.db", ("--to", url, "--yes")
    (row,) = move(data, "--from", first, *target)
    taken = sum(min(5, len(some)) for some in by_partition(events(2_000)).values())
    assert row == {"what": "log", "moved": 2_000 - taken, "old": 0, "new": 2_000 - taken}

    async def found() -> dict[int, list[Record]]:
        log = RedisLog(url, PARTITIONS, body_bytes_max=1 << 20)
        async with opened(log):
            return by_partition([bare(one) for one in await read_all(log)])

    wanted = by_partition(events(2_000))
    for partition, some in asyncio.run(found()).items():
        assert by_conversation(some) == by_conversation(wanted[partition][5:])
    (again,) = move(data, "--from", first, *target)
    assert again["moved"] == 0
    (back,) = move(data, "--from", url, "--to", f"sqlite:{tmp_path}/other.db", "--yes")
    assert back["moved"] == back["new"] == 2_000 - taken


def by_conversation(some: list[Record]) -> list[Record]:
    return sorted(some, key=lambda one: one.subject)


def by_partition(some: list[Record]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for one in some:
        found.setdefault(one.partition, []).append(one)
    return found


def test_a_move_that_was_interrupted_and_begun_again_makes_only_repeats(
    tmp_path: Path, redis: RedisProcess
) -> None:
    fill(tmp_path, 300, taken=0)

    async def run() -> list[bytes]:
        old = SqliteLog(tmp_path / "log.db", PARTITIONS)
        new = RedisLog(f"{redis.url}?prefix=two", PARTITIONS, body_bytes_max=1 << 20)
        ledger = SqliteLedger(tmp_path / "ledger.db")
        await ledger.open()

        def stop(moved: int) -> None:
            if moved > 100:
                raise KeyboardInterrupt

        async with opened(old, new):
            with pytest.raises(KeyboardInterrupt):
                await move_log(old, new, ledger, NOW_MS, stop)
            await move_log(old, new, ledger, NOW_MS + 1, lambda _moved: None)
            found = [one.record.uid for one in await read_all(new)]
        await ledger.close()
        return found

    uids = asyncio.run(run())
    assert len(uids) > 300
    assert len(set(uids)) == 300


@pytest.mark.parametrize("engine", ["rabbitmq", "kafka"])
def test_a_log_is_moved_to_a_broker_and_back(tmp_path: Path, engine: str) -> None:
    """RabbitMQ counts messages: what waits there is at least one, and 0 afterwards."""
    fill(tmp_path, 300, taken=0)
    first, last = f"sqlite:{tmp_path}/log.db", f"sqlite:{tmp_path}/back.db"
    broker = RabbitServer(tmp_path / engine) if engine == "rabbitmq" else Kafka(tmp_path / engine)
    with broker:
        url = broker.url if engine == "rabbitmq" else f"{broker.url}/moved"
        (there,) = move(tmp_path, "--from", first, "--to", url, "--yes")
        (back,) = move(tmp_path, "--from", url, "--to", last, "--yes")
    assert (there["moved"], there["old"]) == (300, 0)
    assert there["new"] == 300 if engine == "kafka" else 0 < there["new"] <= 300
    assert back == {"what": "log", "moved": 300, "old": 0, "new": 300}


def test_what_is_in_the_spool_of_a_server_that_is_gone_is_moved_like_a_log(
    tmp_path: Path, redis: RedisProcess
) -> None:
    async def spool() -> None:
        file = SpoolFile(tmp_path, PARTITIONS, bytes_max=1 << 30)
        await file.open()
        file.flags.trip(NOW_MS)
        await append_all(file, events(200))
        await file.close()

    asyncio.run(spool())
    target = f"{redis.url}?prefix=rescued"
    (row,) = move(tmp_path, "--from", f"sqlite:{tmp_path}/spool.db", "--to", target, "--yes")
    assert row == {"what": "log", "moved": 200, "old": 0, "new": 200}


def test_nothing_is_moved_while_a_gateway_runs_or_between_the_same(
    tmp_path: Path, redis: RedisProcess
) -> None:
    fill(tmp_path, 3, taken=0)

    async def live() -> None:
        state = SqliteState(tmp_path / "state.db")
        await state.open()
        now_ms = time.time_ns() // 1_000_000
        await state.beat(WorkerRow("w", 1, now_ms, now_ms, 0), 60.0)
        await state.close()

    url = f"sqlite:{tmp_path}/log.db"
    said = move(tmp_path, "--from", url, "--to", url, "--yes", fails=True)
    assert "same log" in said
    asyncio.run(live())
    words = ("--from", url, "--to", f"{redis.url}?prefix=three", "--yes")
    assert "A gateway is running" in move(tmp_path, *words, fails=True)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("sqlite:nowhere.db", "sqlite:x.db", "does not exist"),
        ("redis://a", "postgresql://a/b", "cannot be"),
        ("nonsense", "sqlite:x.db", "There is no engine"),
    ],
)
def test_urls_between_which_nothing_can_be_moved_are_refused(
    tmp_path: Path, source: str, target: str, said: str
) -> None:
    assert said in move(tmp_path, "--from", source, "--to", target, "--yes", fails=True)


def fill_ledger(path: Path) -> None:
    """Deliveries in every state, a dead letter, attempts, a fleet."""

    async def run() -> None:
        ledger = SqliteLedger(path)
        await ledger.open()
        await ledger.claim(0, TOKEN)
        made = await ledger.record(
            {0: TOKEN}, [new_event(n, targets=(CRM, BOT)) for n in range(1, 700)], NOW_MS
        )
        first, second, *_rest = made.deliveries
        ended = [outcome(first, DELIVERED), outcome(second, DEAD, 500)]
        await ledger.settle({0: TOKEN}, ended, NOW_MS)
        fleet = await ledger.fleet()
        await ledger.replace_fleet(msgspec.structs.replace(fleet, version=1), "me", "made")
        await ledger.close()

    asyncio.run(run())


def test_a_ledger_is_copied_whole_once(tmp_path: Path) -> None:
    fill_ledger(tmp_path / "ledger.db")
    words = ("--from", f"sqlite:{tmp_path}/ledger.db", "--to", f"sqlite:{tmp_path}/copy.db")
    rows = move(tmp_path, *words, "--yes")
    assert [row["what"] for row in rows] == [table.name for table in TABLES]
    assert all(row["old"] == row["new"] for row in rows)
    assert {row["what"]: row["new"] for row in rows}["deliveries"] == 2 * 699
    assert "holds a ledger already" in move(tmp_path, *words, "--yes", fails=True)

    async def told(path: Path) -> list[object]:
        ledger = SqliteLedger(path)
        await ledger.open()
        dead = await ledger.deliveries(DeliveryFilter(limit=2_000))
        found = await ledger.events(EventFilter(limit=2_000))
        detail = await ledger.event(found[5].id)
        claim = await ledger.claim(0, TOKEN + 1)
        tried = await ledger.attempts(dead[-1].id)
        await ledger.close()
        return [dead, found, detail, claim, tried]

    old, new = (asyncio.run(told(tmp_path / name)) for name in ("ledger.db", "copy.db"))
    assert old == new


def test_a_ledger_moves_to_postgresql_and_back(tmp_path: Path, database: str) -> None:
    fill_ledger(tmp_path / "ledger.db")
    first, last = f"sqlite:{tmp_path}/ledger.db", f"sqlite:{tmp_path}/back.db"
    rows = move(tmp_path, "--from", first, "--to", database, "--yes")
    assert {row["what"]: row["new"] for row in rows}["deliveries"] == 2 * 699
    assert rows == move(tmp_path, "--from", database, "--to", last, "--yes")

    async def told(ledger: Ledger) -> list[object]:
        await ledger.open()
        every = await ledger.deliveries(DeliveryFilter(limit=2_000))
        found = await ledger.events(EventFilter(limit=2_000))
        detail = await ledger.event(found[5].id)
        claim = await ledger.claim(0, TOKEN + 1)
        tried = await ledger.attempts(every[-1].id)
        numbered = await ledger.note(Operation(NOW_MS, "me", "redrive", {}))
        await ledger.close()
        return [every, found, detail, set(claim.lanes), claim.offset, tried, numbered]

    old = asyncio.run(told(SqliteLedger(tmp_path / "ledger.db")))
    assert asyncio.run(told(PostgresLedger(database))) == old
    assert asyncio.run(told(SqliteLedger(tmp_path / "back.db"))) == old


def test_rows_that_were_copied_before_an_interruption_are_there_once(tmp_path: Path) -> None:
    fill_ledger(tmp_path / "ledger.db")

    async def run() -> None:
        old, new = SqliteLedger(tmp_path / "ledger.db"), SqliteLedger(tmp_path / "copy.db")
        await old.open()
        await new.open()

        def stop(_table: str, done: int) -> None:
            if done > 900:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await copy_ledger(old.copying, new, stop)
        await copy_ledger(old.copying, new, lambda _table, _done: None)
        with pytest.raises(ConflictError, match="already"):
            await copy_ledger(old.copying, new, lambda _table, _done: None)
        await old.close()
        await new.close()

    asyncio.run(run())
