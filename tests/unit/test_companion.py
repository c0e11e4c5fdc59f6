"""The companion of a worker: kept running, let go in good order, ended if it will not."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from comporta import companion as module
from comporta.companion import Companion
from comporta.settings import Settings
from comporta.state.sqlite import SqliteState
from comporta.testing.conformance.records import until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_S", 0.0)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Companion]:
    """A companion with a process, until the body is over; whatever happens, none is left."""
    companion = Companion(settings, os.getpid(), os.getpid())
    task = asyncio.create_task(companion.run())
    try:
        await until("it has a process", lambda: _process(companion))
        yield companion
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await companion.finish(0)


async def _process(companion: Companion) -> int:
    process = companion._process
    return process.pid if process is not None and process.returncode is None else 0


def test_a_dispatcher_that_is_killed_is_started_again_and_ends_when_it_is_let_go(
    tmp_path: Path,
) -> None:
    settings = Settings(data=tmp_path)

    async def run() -> None:
        state = SqliteState(tmp_path / "state.db", upkeep=False)

        async def lives() -> bool:
            rows = await state.workers(time.time_ns() // 1_000_000, 3.0)
            return any(row.partitions == 16 for row in rows)

        async with running(settings) as companion:
            first = await _process(companion)
            os.kill(first, signal.SIGKILL)

            async def another() -> bool:
                return await _process(companion) not in (0, first)

            await until("another is started", another)
            await state.open()
            await until("it works", lives)
        await state.close()

    with capture_logs() as logs:
        asyncio.run(run())
    assert [one["exit_code"] for one in logs if one["event"] == "dispatch.ended"] == [-9]


def test_a_dispatcher_that_is_let_go_ends_by_itself(tmp_path: Path) -> None:
    async def run() -> int | None:
        companion = Companion(Settings(data=tmp_path), os.getpid(), os.getpid())
        task = asyncio.create_task(companion.run())
        await until("it has a process", lambda: _process(companion))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await companion.finish(20)
        assert companion._process is not None
        return companion._process.returncode

    with capture_logs() as logs:
        assert asyncio.run(run()) == 0
    assert logs == []


def test_a_dispatcher_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    async def run() -> int | None:
        async with running(Settings(data=tmp_path)) as companion:
            os.kill(await _process(companion), signal.SIGSTOP)
        assert companion._process is not None
        return companion._process.returncode

    with capture_logs() as logs:
        assert asyncio.run(run()) == -signal.SIGKILL
    assert [one["event"] for one in logs] == ["dispatch.killed"]


def test_a_dispatcher_that_falls_silent_is_ended_and_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with running(Settings(data=tmp_path)) as companion:
            first = await _process(companion)
            state = SqliteState(tmp_path / "state.db", upkeep=False)
            await state.open()

            async def works() -> bool:
                return bool(await state.workers(time.time_ns() // 1_000_000, 3.0))

            await until("it works", works)
            await state.close()
            monkeypatch.setattr(module, "SILENCE_S", 1.5)
            await asyncio.sleep(1.2)  # the wait that began before with the long silence ends
            os.kill(first, signal.SIGSTOP)

            async def another() -> bool:
                return await _process(companion) not in (0, first)

            await until("another is started", another)
            monkeypatch.setattr(module, "SILENCE_S", 30.0)

    with capture_logs() as logs:
        asyncio.run(run())
    assert [one["event"] for one in logs][:2] == ["dispatch.silent", "dispatch.ended"]


def test_a_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))

    async def run(logs: Sequence[object]) -> None:
        companion = Companion(Settings(data=tmp_path), os.getpid(), os.getpid())
        task = asyncio.create_task(companion.run())

        async def tried_twice() -> bool:
            return len(logs) >= 2

        await until("it was tried twice", tried_twice)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await companion.finish(5)  # there is nothing to finish

    with capture_logs() as logs:
        asyncio.run(run(logs))
    assert {one["event"] for one in logs} == {"dispatch.not_started"}


def test_orders_larger_than_a_pipe_holds_do_not_hold_up_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that reads nothing: whoever wrote and waited would wait for ever.
    monkeypatch.setattr(module, "_START", "import signal; signal.pause()")
    settings = Settings(data=tmp_path)

    async def run() -> None:
        companion = Companion(settings, os.getpid(), os.getpid())
        companion._orders = module.Orders({"x": "y" * 500_000}, 1, 1)
        task = asyncio.create_task(companion.run())
        await until("it has a process", lambda: _process(companion))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            await companion.finish(0)

    with capture_logs() as logs:
        asyncio.run(run())
    assert [one["event"] for one in logs] == ["dispatch.killed"]
