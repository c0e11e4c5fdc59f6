"""Files give space back: the ledger's after pruning, the log's once the ledger has everything."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import apsw
from msgspec import structs

from comporta.embedded.upkeep import SPARE_BYTES, gives_back
from comporta.ledger.port import EventFilter
from comporta.ledger.retention import DAY_MS, Limit, Limits, Retention
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.log.sqlite import SqliteLog
from comporta.testing.conformance.ledger_stage import NOW_MS, new_event
from comporta.testing.conformance.records import record, until

BODY = bytes(200_000)
COUNT = 300
FILLED = 50_000_000


def size_of(path: Path) -> int:
    return path.stat().st_size


async def fill(ledger: SqliteLedger, after: int = 0) -> None:
    await ledger.claim(0, 1)
    for n in range(after + 1, after + COUNT + 1):
        event = new_event(n, record(body=BODY + bytes([n % 256])), targets=())
        await ledger.record({0: 1}, [event], NOW_MS)
    assert len(await ledger.events(EventFilter(limit=COUNT + 1))) == COUNT


async def refill(ledger: SqliteLedger) -> None:
    await fill(ledger, COUNT)


async def prune(ledger: SqliteLedger) -> None:
    kept = Limits(Limit(1), Limit(1), Limit(1), Limit(1))
    await Retention(ledger, ledger.keeping, kept, lambda: NOW_MS + 2 * DAY_MS).round()
    assert await ledger.events(EventFilter()) == []


def test_a_ledger_shrinks_on_disk_when_it_is_pruned(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    async def run() -> None:
        ledger = SqliteLedger(path)
        await ledger.open()
        try:
            await fill(ledger)
            await prune(ledger)

            async def small() -> bool:
                return size_of(path) <= SPARE_BYTES + (1 << 20)

            await until("the file is small", small)
        finally:
            await ledger.close()

    asyncio.run(run())
    with closing(apsw.Connection(str(path))) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_file_that_cannot_shrink_works_on_and_its_free_pages_are_used_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    with closing(apsw.Connection(str(path))) as old:
        old.execute("PRAGMA page_size=4096").fetchall()
        old.execute("PRAGMA journal_mode=WAL").fetchall()
        assert not gives_back(old)

    async def run(*steps: Callable[[SqliteLedger], Awaitable[None]]) -> int:
        """The file's size after them; at the end nothing is left in its journal."""
        ledger = SqliteLedger(path)
        await ledger.open()
        try:
            assert not await ledger.keeping.gives_back()
            for step in steps:
                await step(ledger)
        finally:
            await ledger.close()
        assert not path.with_name("ledger.db-wal").exists()
        return size_of(path)

    filled = asyncio.run(run(fill, prune))
    assert asyncio.run(run(refill)) < filled * 1.1


def test_a_log_shrinks_on_disk_once_it_is_trimmed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def run() -> None:
        log = SqliteLog(path, 1)
        await log.open()
        try:
            one = structs.replace(record(), body=BODY)
            for _ in range(COUNT):
                await log.append(one)

            async def grown() -> bool:
                files = (path, path.with_name("log.db-wal"))
                return sum(map(size_of, files)) > FILLED

            await until("it has grown", grown)
            await log.commit({0: (await log.read({0: 0}, 1, 1)).reached[0] + FILLED})

            async def small() -> bool:
                return size_of(path) <= SPARE_BYTES + (2 << 20)

            await until("the file is small", small)
        finally:
            await log.close()

    asyncio.run(run())
