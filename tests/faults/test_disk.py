"""Disks that fail under a running log: refused in words, nothing acknowledged lost, and it passes.

Full and read-only need a file system of its own, so one is mounted, which only root may do.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from comporta.errors import StoreUnavailableError
from comporta.ledger.port import EventFilter
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.log.sqlite import SqliteLog
from comporta.state.sqlite import SqliteState
from comporta.testing.conformance.ledger_stage import NOW_MS, new_event
from comporta.testing.conformance.records import opened, read_all, record, until

DEADLINE_S = 12.0
KIBIBYTES = 40


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, timeout=10, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode().strip())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "disk"
    made.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(made))
    except OSError as error:
        reason = f"full and read-only disks are NOT tested: {error} (root can mount)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield made
    finally:
        subprocess.run(["umount", "-l", str(made)], timeout=10, check=True)


class Story:
    """A log under way, what it has acknowledged, and how it is found to be ill and well."""

    def __init__(self, path: Path) -> None:
        self.log = SqliteLog(path, 1)
        self.acknowledged: list[bytes] = []
        self.refusals: list[str] = []
        self._number = 0

    async def append(self) -> bool:
        """True if it was acknowledged."""
        self._number += 1
        body = b"%08d" % self._number + os.urandom(KIBIBYTES * 1024)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self.log.append(record(0, body))
        except StoreUnavailableError as error:
            self.refusals.append(str(error))
            return False
        self.acknowledged.append(body)
        return True

    async def refused(self) -> bool:
        return not await self.append()

    async def healthy(self) -> bool:
        return not self.log.health().error

    async def check_all_there(self) -> None:
        bodies = {entry.record.body for entry in await read_all(self.log)}
        assert not set(self.acknowledged) - bodies


def play(path: Path, story: Callable[[Story], Awaitable[None]]) -> None:
    async def run() -> None:
        one = Story(path)
        async with opened(one.log):
            assert await one.append()
            await story(one)

    asyncio.run(run())


def test_a_full_disk_refuses_in_words_and_goes_on_by_itself_once_there_is_room(disk: Path) -> None:
    async def story(one: Story) -> None:
        await until("the disk is full", one.refused)
        assert "is full" in one.refusals[-1]
        assert "is full" in one.log.health().error
        assert not await one.append()
        await one.check_all_there()
        mount("-o", "remount,size=64m", str(disk))
        await until("health is green again though nobody appends", one.healthy)
        assert await one.append()
        await one.check_all_there()

    play(disk / "log.db", story)


def test_a_disk_that_became_read_only_refuses_in_words_and_goes_on_once_it_is_not(
    disk: Path,
) -> None:
    async def run() -> None:
        before = Story(disk / "log.db")
        async with opened(before.log):
            assert await before.append()
        mount("-o", "remount,ro", str(disk))  # not under open files: they would keep it writable
        one = Story(disk / "log.db")
        one.acknowledged += before.acknowledged
        async with opened(one.log):
            assert not await one.append()
            assert "cannot be written to. Check its permissions" in one.refusals[-1]
            assert one.log.health().error
            mount("-o", "remount,rw", str(disk))
            await until("health is green again", one.healthy)
            assert await one.append()
            await one.check_all_there()

    asyncio.run(run())


@pytest.mark.parametrize("store", ["log", "ledger", "state"])
def test_a_folder_that_is_read_only_from_the_start_is_refused_in_words(
    disk: Path, store: str
) -> None:
    mount("-o", "remount,ro", str(disk))

    async def run() -> str:
        if store == "log":
            log = SqliteLog(disk / "log.db", 1)
            async with opened(log):
                with pytest.raises(StoreUnavailableError) as caught:
                    await log.append(record())
        else:
            kind = SqliteLedger if store == "ledger" else SqliteState
            with pytest.raises(StoreUnavailableError) as caught:
                await kind(disk / f"{store}.db").open()
        return str(caught.value)

    words = asyncio.run(run())
    assert f"{store}.db" in words
    assert len(words.split()) > 5
    assert "Traceback" not in words


async def put(ledger: SqliteLedger, number: int) -> None:
    one = record(0, os.urandom(KIBIBYTES * 1024))
    await ledger.record({0: 1}, [new_event(number, one)], NOW_MS)


async def fill(ledger: SqliteLedger) -> tuple[int, str]:
    """Record until it is refused: how many there are, and what was said."""
    for number in range(1, 1_000):
        try:
            await put(ledger, number)
        except StoreUnavailableError as error:
            return number - 1, str(error)
    raise AssertionError


def test_a_full_disk_stops_the_ledger_in_words_until_there_is_room_and_loses_nothing(
    disk: Path,
) -> None:
    async def run() -> None:
        ledger = SqliteLedger(disk / "ledger.db")
        await ledger.open()
        try:
            await ledger.claim(0, 1)
            recorded, words = await fill(ledger)
            assert "is full" in words
            for _ in range(2):
                await until_probed(ledger)
                assert "is full" in ledger.error, "green, though it cannot write"
            assert len(await ledger.events(EventFilter(limit=1_000))) == recorded
            mount("-o", "remount,size=64m", str(disk))

            async def healthy() -> bool:
                return not ledger.error

            await until("the ledger is well again", healthy)
            await put(ledger, recorded + 1)
            assert (await ledger.claim(0, 1)).offset == recorded + 1
        finally:
            await ledger.close()

    asyncio.run(run())


async def until_probed(ledger: SqliteLedger) -> None:
    before = ledger._writer._looked_at

    async def probed() -> bool:
        return ledger._writer._looked_at != before

    await until("the file was probed", probed)


@pytest.mark.parametrize("place", ["header", "middle"])
def test_a_damaged_file_is_said_to_be_so_and_put_aside_it_makes_room_for_a_new_one(
    tmp_path: Path, place: str
) -> None:
    path = tmp_path / "log.db"

    async def prepare() -> None:
        one = Story(path)
        async with opened(one.log):
            for _ in range(20):
                assert await one.append()

    asyncio.run(prepare())
    with path.open("r+b") as file:
        if place == "middle":
            file.seek(16 * 1024)
        file.write(os.urandom(path.stat().st_size // 2))

    async def run() -> None:
        one = Story(path)
        async with opened(one.log):
            await until("an append is refused", one.refused)
            assert "is damaged. Put it aside" in one.refusals[-1]
            with pytest.raises(StoreUnavailableError, match="damaged"):
                await read_all(one.log)
            path.rename(tmp_path / "aside.db")
            await until("health is green again", one.healthy)
            assert await one.append()
            await one.check_all_there()

    asyncio.run(run())


def test_a_data_folder_that_is_deleted_under_a_running_log_is_missed_and_may_come_back(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()

    async def story(one: Story) -> None:
        shutil.rmtree(folder)
        await until("an append is refused", one.refused)
        assert "cannot be opened. Check that its folder exists" in one.refusals[-1]
        folder.mkdir()
        await until("health is green again", one.healthy)
        one.acknowledged.clear()  # went with the folder
        assert await one.append()
        await one.check_all_there()

    play(folder / "log.db", story)
