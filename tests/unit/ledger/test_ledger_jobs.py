"""Jobs that share a transaction: one that fails takes none of the others with it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from comporta.errors import StoreUnavailableError
from comporta.ledger.port import Claim
from comporta.ledger.sqlite.ledger import SqliteLedger


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(path)
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.close()


def clash(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO source_accounts VALUES ('half done', 1)")
    connection.execute("INSERT INTO source_accounts VALUES ('twice', 1), ('twice', 2)")


def overflow(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO source_accounts VALUES ('x', ?)", (1 << 70,))


def full(_connection: apsw.Connection) -> None:
    raise apsw.FullError("database or disk is full")


@pytest.mark.parametrize("bad", [clash, overflow])
def test_a_job_that_cannot_be_done_fails_alone_and_leaves_nothing(
    tmp_path: Path, bad: Callable[[apsw.Connection], None]
) -> None:
    async def run() -> None:
        async with opened(tmp_path / "ledger.db") as ledger:
            failed, done = await asyncio.gather(
                ledger._write(bad),
                ledger.claim(3, 7),
                return_exceptions=True,
            )
            assert isinstance(failed, StoreUnavailableError | OverflowError)
            assert done == Claim(0, ())
            assert await ledger.source_accounts() == {}
            assert ledger.error == ""

    asyncio.run(run())


def test_a_file_that_fails_concerns_everybody_until_a_probe_could_write_again(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with opened(tmp_path / "ledger.db") as ledger:
            results = await asyncio.gather(
                ledger.claim(3, 7), ledger._write(full), return_exceptions=True
            )
            assert all(isinstance(result, StoreUnavailableError) for result in results)
            assert "is full" in ledger.error
            async with asyncio.timeout(10):
                while ledger.error:
                    await ledger.fleet_version()
            assert (await ledger.claim(3, 7)).offset == 0

    asyncio.run(run())


def test_a_probe_writes_something(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "ledger.db") as ledger:
            with pytest.raises(StoreUnavailableError):
                await ledger._write(full)
            async with asyncio.timeout(10):
                while ledger.error:
                    await ledger.fleet_version()
            found = await ledger._reader.run(
                lambda c: c.execute("SELECT length(filler) FROM probe").fetchall()
            )
            assert found == [(65_536,)]

    asyncio.run(run())
