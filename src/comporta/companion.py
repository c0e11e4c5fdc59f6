"""The dispatch process that each worker keeps beside it.

Intake and dispatch meet in the log and nowhere else, so they need not share an interpreter: a busy
dispatch does not make a webhook wait, and two cores are used by one worker. The companion gets its
settings on its standard input; the end of that input, however the worker ends, tells it to
finish. On its standard output it gives a sign of life every second.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec
import structlog

import comporta
from comporta.settings import Settings

RESTART_S = 1.0
SILENCE_S = 30.0
"""A dispatch process that has given no sign of life for so long is ended, and started anew."""
FAREWELL = b"."
"""Says that the worker ends in good order; without it, it was killed."""
_ROOT = str(Path(comporta.__file__).parents[1])
_START = "import sys; sys.path.insert(0, sys.argv[1]); import comporta.dispatching as d; d.main()"
_log = structlog.get_logger(__name__)


class Orders(msgspec.Struct, frozen=True):
    """What a companion is told at its start."""

    settings: dict[str, object]
    server_pid: int
    """Of the process that all workers of this server belong to."""
    worker_pid: int
    """Of the worker that it belongs to."""


class Companion:
    """Keeps a dispatch process running."""

    def __init__(self, settings: Settings, server_pid: int, worker_pid: int) -> None:
        self._orders = Orders(settings.as_arguments(), server_pid, worker_pid)
        self._process: Process | None = None

    async def run(self) -> None:
        """Start it, and start it again whenever it ends; until cancelled."""
        while True:
            try:
                self._process = await self._start()
            except OSError as error:
                _log.error("dispatch.not_started", error=str(error))
            else:
                code = await _attend(self._process)
                say = _log.error if code else _log.info
                say("dispatch.ended", exit_code=code, pid=self._process.pid)
            await asyncio.sleep(RESTART_S)

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _START, _ROOT, stdin=PIPE, stdout=PIPE
        )
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(self._orders) + b"\n")
        return process

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)

    async def finish(self, within_s: float) -> None:
        """Let it drain, for `within_s` seconds at the most; then end it. After `run` was ended."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.write(FAREWELL)
            process.stdin.close()
        try:
            async with asyncio.timeout(within_s):
                await process.wait()
        except TimeoutError:
            _log.error("dispatch.killed", pid=process.pid)
            process.kill()
            await process.wait()


async def _attend(process: Process) -> int:
    """Wait for its end, or bring it about if it falls silent; its exit code."""
    signs = process.stdout
    try:
        while signs is not None:
            async with asyncio.timeout(SILENCE_S):
                if not await signs.read(64):
                    break
    except TimeoutError:
        _log.error("dispatch.silent", pid=process.pid, silence_s=SILENCE_S)
        process.kill()
    return await process.wait()
