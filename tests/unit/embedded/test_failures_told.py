"""What the log's writer says of its file: from the start on, and once for each change."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from comporta.embedded import group_commit
from comporta.embedded.connection import connect
from comporta.embedded.gate import gate_of
from comporta.embedded.group_commit import GroupCommit
from comporta.errors import StoreUnavailableError
from comporta.log.sqlite import SqliteLog
from comporta.testing.conformance.records import opened, record, until


class Lines:
    """Stands where the logger stands, and keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, object]] = []

    def error(self, event: str, **fields: object) -> None:
        self.said.append(("error", event, fields))

    def info(self, event: str, **fields: object) -> None:
        self.said.append(("info", event, fields))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    made = Lines()
    monkeypatch.setattr(group_commit, "_log", made)
    return made


class Moody:
    """A session that fails as long as its file says so."""

    def __init__(self, path: Path) -> None:
        self.connection = connect(path)
        self._full = path.with_name("full")

    def write(self, items: Sequence[str]) -> list[object]:
        if self._full.exists():
            raise apsw.FullError("database or disk is full")
        return list(items)


def test_a_log_that_cannot_be_opened_was_healthy_until_the_first_event_failed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"

    async def run() -> None:
        log = SqliteLog(folder / "log.db", 4)
        async with opened(log):
            assert "data/log.db" in log.health().error
            folder.mkdir()

            async def healthy() -> bool:
                return not log.health().error

            await until("health is green though nobody appends", healthy)
            await log.append(record())

    asyncio.run(run())


def test_a_log_that_can_be_written_is_healthy_from_the_start(tmp_path: Path) -> None:
    async def run() -> None:
        log = SqliteLog(tmp_path / "log.db", 4)
        async with opened(log):
            assert log.health().error == ""

    asyncio.run(run())


def test_a_log_that_takes_its_time_to_open_is_not_healthy_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "FIRST_TRY_S", 0.01)
    gate = gate_of(tmp_path / "a.db")

    async def run() -> None:
        writer: GroupCommit[str] = GroupCommit(tmp_path / "a.db", lambda: Moody(tmp_path / "a.db"))
        with gate.turn():
            await writer.start_probing()
            assert "is not open yet" in writer.error

        async def well() -> bool:
            return not writer.error

        await until("it is open", well)
        await writer.close()

    asyncio.run(run())
    gate.close()


def test_a_store_that_failed_and_recovered_left_no_line_in_the_log(
    tmp_path: Path, lines: Lines
) -> None:
    path, full = tmp_path / "a.db", tmp_path / "full"

    async def run() -> None:
        writer: GroupCommit[str] = GroupCommit(path, lambda: Moody(path))
        await writer.start_probing()
        assert lines.said == []
        for _twice in range(2):
            full.touch()
            for _group in range(5):
                with pytest.raises(StoreUnavailableError):
                    await writer.submit("lost")
            full.unlink()
            for _group in range(5):
                await writer.submit("kept")
        await writer.close()

    asyncio.run(run())
    assert [line[:2] for line in lines.said] == [
        ("error", "store.failed"),
        ("info", "store.recovered"),
    ] * 2
    assert f"The disk that holds {path} is full" in str(lines.said[0][2])
