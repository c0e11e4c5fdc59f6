"""The embedded state keeps the promises of every state."""

import asyncio
from pathlib import Path

import pytest

from comporta.state.port import State
from comporta.state.sqlite import SqliteState
from comporta.testing.conformance.state import LEASE_S, NOW_MS, PARTITIONS, StateSuite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def make(place: str) -> State:
    return SqliteState(Path(place))


class TestSqliteState(StateSuite):
    """The suite, on a file."""

    maker = f"{__name__}:make"

    def place(self, folder: Path) -> str:
        return str(folder / "state.db")


def test_tokens_rise_though_the_file_was_lost(folder: Path) -> None:
    async def token(now_ms: int) -> int:
        state = SqliteState(folder / "state.db")
        await state.open()
        (lease, *_rest) = await state.acquire("a", range(PARTITIONS), 1, LEASE_S, now_ms)
        await state.close()
        return lease.token

    before = asyncio.run(token(NOW_MS))
    for file in folder.iterdir():
        file.unlink()
    assert asyncio.run(token(NOW_MS + 1)) > before
