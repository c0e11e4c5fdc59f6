"""The embedded log keeps the promises of every log, and some of its own."""

import asyncio
import shutil
from pathlib import Path

import apsw
import msgspec
import pytest

from comporta.embedded import upkeep
from comporta.errors import ConfigError, SchemaTooNewError, StoreUnavailableError
from comporta.log.frames import NEWEST
from comporta.log.port import Log
from comporta.log.sqlite import SqliteLog
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite
from comporta.testing.conformance.records import append_all, opened, read_all, record, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def make(place: str) -> Log:
    return SqliteLog(Path(place), PARTITIONS)


class TestSqliteLog(LogSuite):
    """The suite, on a file."""

    maker = f"{__name__}:make"

    def place(self, folder: Path) -> str:
        return str(folder / "log.db")

    def break_it(self, folder: Path) -> None:
        folder.rename(folder.with_name("away"))

    def mend_it(self, folder: Path) -> None:
        folder.with_name("away").rename(folder)


def test_a_new_file_goes_on_above_the_offsets_of_the_one_that_was_deleted(folder: Path) -> None:
    async def last_offset() -> int:
        log = SqliteLog(folder / "log.db", PARTITIONS)
        async with opened(log):
            await append_all(log, [record(n % PARTITIONS) for n in range(2_000)])
            return (await read_all(log))[-1].offset

    before = asyncio.run(last_offset())
    shutil.rmtree(folder)
    folder.mkdir()
    assert asyncio.run(last_offset()) - 2_000 >= before


def test_offsets_rise_though_everything_was_forgotten(folder: Path) -> None:
    async def run() -> None:
        log = SqliteLog(folder / "log.db", 1)
        async with opened(log):
            seen = 0
            for _ in range(3):
                await append_all(log, [record() for _ in range(5)])
                entries = [e for e in await read_all(log) if e.offset > seen]
                assert len(entries) == 5
                seen = entries[-1].offset

                async def settled(seen: int = seen) -> bool:
                    await log.commit({0: seen})
                    return await log.lag() == 0

                await until("lag settles", settled)

    asyncio.run(run())


def put_row(path: Path, row: bytes) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "INSERT INTO log (last, count, mask, records) SELECT max(last) + 1, 1, 1, ? FROM log",
        (row,),
    )
    connection.close()


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (msgspec.msgpack.encode((NEWEST + 1, "of the day after tomorrow")), SchemaTooNewError),
        (b"\xc1 garbage", StoreUnavailableError),
    ],
)
def test_a_row_that_cannot_be_read_is_said_to_be_so_and_stays(
    folder: Path, row: bytes, error: type[Exception]
) -> None:
    async def run() -> None:
        log = SqliteLog(folder / "log.db", 1)
        async with opened(log):
            await log.append(record())
            put_row(folder / "log.db", row)
            for _ in range(2):
                with pytest.raises(error):
                    await read_all(log)

    asyncio.run(run())


@pytest.mark.parametrize("partitions", [0, 63])
def test_a_number_of_partitions_that_the_mask_cannot_hold_is_refused(
    folder: Path, partitions: int
) -> None:
    with pytest.raises(ConfigError, match="partitions"):
        SqliteLog(folder / "log.db", partitions)


def test_the_wal_starts_anew_once_its_pages_are_in_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "WAL_BYTES_MAX", 8 << 20)
    wave, waves = 12 << 20, 6

    async def run() -> None:
        log = SqliteLog(folder / "log.db", 1)
        async with opened(log):
            for number in range(1, waves + 1):
                for _ in range(3):
                    await append_all(log, [record(0, bytes(1 << 20)) for _ in range(4)])

                async def copied(number: int = number) -> bool:
                    return (folder / "log.db").stat().st_size > number * wave

                await until("the pages are in the file", copied)
            assert (folder / "log.db-wal").stat().st_size < waves * wave

    asyncio.run(run())
