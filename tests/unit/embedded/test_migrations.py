"""Schemas: brought up to date once, by whoever comes first; never by a version that is too old."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest

from comporta.embedded.connection import check_library, connect
from comporta.embedded.migrations import migrate
from comporta.errors import SchemaTooNewError, UnsafeSqliteError
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.log.sqlite import SqliteLog
from comporta.state.sqlite import SqliteState
from comporta.testing.conformance.children import running
from comporta.testing.conformance.records import opened, read_all

FILES = {"log.db": ("comporta.log.schema", ""), "ledger.db": ("comporta.ledger.schema", "sqlite_")}


def test_many_workers_start_in_a_fresh_folder_at_once_and_all_work(tmp_path: Path) -> None:
    with ExitStack() as stack:
        workers = [
            stack.enter_context(running("tests.support.opener", str(tmp_path), str(number)))
            for number in range(6)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(b"go\n")
            worker.stdin.flush()
        assert [worker.wait(60) for worker in workers] == [0] * 6

    async def found() -> set[int]:
        log = SqliteLog(tmp_path / "log.db", 8)
        async with opened(log):
            return {entry.record.partition for entry in await read_all(log)}

    assert asyncio.run(found()) == set(range(6))


def put_version(path: Path, version: int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()


@pytest.mark.parametrize("name", FILES)
def test_a_schema_of_a_newer_version_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    put_version(tmp_path / name, 999)
    connection = connect(tmp_path / name)
    with pytest.raises(SchemaTooNewError, match=r"newer Comporta \(schema 999.*Install that ver"):
        migrate(connection, tmp_path / name, *FILES[name])
    connection.close()


def test_a_newer_store_is_not_opened_and_left_as_it_is(tmp_path: Path) -> None:
    async def run() -> None:
        for name, store in (
            ("ledger", SqliteLedger(tmp_path / "ledger.db")),
            ("state", SqliteState(tmp_path / "state.db")),
            ("log", SqliteLog(tmp_path / "log.db", 1)),
        ):
            put_version(tmp_path / f"{name}.db", 999)
            with pytest.raises(SchemaTooNewError):
                await store.open()

    asyncio.run(run())
    connection = apsw.Connection(str(tmp_path / "ledger.db"))
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    connection.close()


def test_a_migration_that_fails_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {1: "CREATE TABLE a (x);", 2: "CREATE TABLE b (x); CREATE TABLE a (y);"}
    monkeypatch.setattr("comporta.embedded.migrations._steps", lambda _package, _prefix: steps)
    connection = connect(tmp_path / "a.db")
    with pytest.raises(apsw.SQLError):
        migrate(connection, tmp_path / "a.db", "any", "")
    tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert tables == [("a",)]
    steps[2] = "CREATE TABLE b (x);"
    migrate(connection, tmp_path / "a.db", "any", "")
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_migrating_leaves_no_file_open(tmp_path: Path) -> None:
    before = open_files()
    for number in range(5):
        connection = connect(tmp_path / f"{number}.db")
        migrate(connection, tmp_path / f"{number}.db", *FILES["log.db"])
        connection.close()
    assert open_files() == before


@pytest.mark.parametrize("version", ["3.51.3", "3.51.9", "3.52.0", "4.0.0", "3.50.7", "3.44.6"])
def test_a_library_with_the_fix_is_accepted_backports_too(version: str) -> None:
    check_library(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.50.6", "3.49.9", "3.44.5", "3.45.0", "3.7.17"])
def test_a_library_that_can_lose_commits_is_refused_with_the_version_and_the_cure(
    version: str,
) -> None:
    with pytest.raises(UnsafeSqliteError, match=rf"SQLite {version} .*pip install -U apsw"):
        check_library(version)


def test_the_ledger_does_not_start_on_a_library_that_can_lose_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(UnsafeSqliteError):
        asyncio.run(SqliteLedger(tmp_path / "ledger.db").open())


def test_files_are_opened_the_way_durability_needs_it(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]  # type: ignore[index]
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "foreign_keys")
    }
    connection.close()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
        "foreign_keys": 1,
    }
