"""Group commit: how groups form, what becomes of callers when a group fails, whose turn it is."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from comporta.embedded.connection import connect
from comporta.embedded.gate import Gate, gate_of
from comporta.embedded.group_commit import GroupCommit
from comporta.errors import StoreUnavailableError
from comporta.testing.conformance.records import until


class Paper:
    """A session that writes down what it was given, and fails when told to."""

    def __init__(self, path: Path, groups: list[list[str]], hold: threading.Event) -> None:
        self.connection = connect(path)
        self.groups, self.hold = groups, hold

    def write(self, items: Sequence[str]) -> list[object]:
        self.hold.wait(10)
        self.groups.append(list(items))
        if "full" in items:
            raise apsw.FullError("database or disk is full")
        if "bug" in items:
            raise ZeroDivisionError("impossible")
        return [ValueError(item) if item == "mine" else item.upper() for item in items]


class Stage:
    """A writer, its groups so far, and a hold that keeps it from writing."""

    def __init__(self, path: Path, group_max: int = 100, group_bytes_max: int = 1_000) -> None:
        self.groups: list[list[str]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.seen: list[int] = []
        self.opened = 0
        self.path = path
        self.writer: GroupCommit[str] = GroupCommit(
            path,
            self.open_session,
            group_max=group_max,
            group_bytes_max=group_bytes_max,
            observe=lambda items, _seconds: self.seen.append(items),
        )

    def open_session(self) -> Paper:
        self.opened += 1
        return Paper(self.path, self.groups, self.hold)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[GroupCommit[str]]:
        self.writer.start()
        try:
            yield self.writer
        finally:
            self.hold.set()
            await self.writer.close()


def test_what_gathers_during_a_commit_is_the_next_group(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "a.db")

    async def run() -> None:
        async with stage.running() as writer:
            assert await writer.submit("a") == "A"
            stage.hold.clear()
            waiting = [writer.submit(item) for item in "bcdef"]
            stage.hold.set()
            assert await asyncio.gather(*waiting) == list("BCDEF")

    asyncio.run(run())
    assert [item for group in stage.groups for item in group] == list("abcdef")
    assert len(stage.groups) <= 3
    assert sum(stage.seen) == 6


@pytest.mark.parametrize(("group_max", "group_bytes_max"), [(3, 10**6), (100, 30)])
def test_a_group_is_bounded_in_items_and_in_bytes(
    tmp_path: Path, group_max: int, group_bytes_max: int
) -> None:
    stage = Stage(tmp_path / "a.db", group_max, group_bytes_max)

    async def run() -> None:
        async with stage.running() as writer:
            stage.hold.clear()
            waiting = [writer.submit("x", 10) for _ in range(20)]
            assert writer.pending_bytes == 200
            stage.hold.set()
            await asyncio.gather(*waiting)
            assert writer.pending_bytes == 0

    asyncio.run(run())
    assert max(len(group) for group in stage.groups) == 3


def test_an_item_that_fails_takes_none_of_its_group_with_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "a.db")

    async def run() -> list[object]:
        async with stage.running() as writer:
            waiting = [writer.submit(item) for item in ("a", "mine", "b")]
            return list(await asyncio.gather(*waiting, return_exceptions=True))

    first, second, third = asyncio.run(run())
    assert (first, third) == ("A", "B")
    assert isinstance(second, ValueError)


@pytest.mark.parametrize(
    ("item", "error", "words"),
    [("full", StoreUnavailableError, "is full"), ("bug", ZeroDivisionError, "impossible")],
)
def test_a_group_that_fails_is_told_to_its_callers_and_the_writer_lives(
    tmp_path: Path, item: str, error: type[Exception], words: str
) -> None:
    stage = Stage(tmp_path / "a.db")

    async def run() -> None:
        async with stage.running() as writer:
            with pytest.raises(error, match=words):
                await writer.submit(item)
            assert words in writer.error
            assert await writer.submit("a") == "A"
            assert writer.error == ""

    asyncio.run(run())
    assert stage.opened == 2, "the file is opened anew after a failure"


def test_a_failed_file_is_probed_while_nobody_writes(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "a.db")

    async def run() -> None:
        async with stage.running() as writer:
            with pytest.raises(StoreUnavailableError):
                await writer.submit("full")

            async def well() -> bool:
                return not writer.error

            await until("a probe finds that writing works", well)

    asyncio.run(run())
    assert stage.groups[-1] == []


def test_a_file_that_was_put_aside_is_made_anew(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "a.db")

    async def run() -> None:
        async with stage.running() as writer:
            await writer.submit("a")
            (tmp_path / "a.db").rename(tmp_path / "aside.db")

            async def anew() -> bool:
                await writer.submit("b")
                return stage.opened == 2

            await until("the file is opened anew", anew)

    asyncio.run(run())
    assert (tmp_path / "a.db").exists()


def test_a_gate_is_one_process_or_thread_at_a_time_and_free_once_it_is_closed(
    tmp_path: Path,
) -> None:
    one, other = Gate(tmp_path / "gate"), Gate(tmp_path / "gate")
    assert one.try_hold()
    assert not other.try_hold()
    one.close()
    assert other.try_hold()
    other.close()


def test_a_gate_lets_the_next_in_when_a_turn_ends_also_by_an_error(tmp_path: Path) -> None:
    one, other = gate_of(tmp_path / "a.db"), gate_of(tmp_path / "a.db")
    held: list[bool] = []

    def fail() -> None:
        with one.turn():
            held.append(other.try_hold())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert held == [False]
    assert other.try_hold()
    one.close()
    other.close()
