"""The embedded state keeps the promises of every state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from tests.conformance.state_suite import LEASE_S, NOW_MS, PARTITIONS, StateSuite
from tests.support.processes import running

from comporta.state.port import State
from comporta.state.sqlite import SqliteState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestSqliteState(StateSuite):
    """The suite, on a file."""

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[State]:
        state = SqliteState(folder / "state.db")
        await state.open()
        try:
            yield state
        finally:
            await state.close()

    def grabbing(self, folder: Path, name: str) -> AbstractContextManager[Popen[bytes]]:
        return running("tests.support.grabber", str(folder / "state.db"), name)

    def taking(
        self, folder: Path, per_s: float, seconds: float
    ) -> AbstractContextManager[Popen[bytes]]:
        path = str(folder / "state.db")
        return running("tests.support.taker", path, str(per_s), str(seconds))


def test_tokens_rise_though_the_file_was_lost(folder: Path) -> None:
    async def token(now_ms: int) -> int:
        state = SqliteState(folder / "state.db")
        await state.open()
        (lease, *_rest) = await state.acquire("a", PARTITIONS, 1, LEASE_S, now_ms)
        await state.close()
        return lease.token

    before = asyncio.run(token(NOW_MS))
    for file in folder.iterdir():
        file.unlink()
    assert asyncio.run(token(NOW_MS + 1)) > before
