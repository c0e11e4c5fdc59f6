"""A gateway as a child process, apart from this machine's own: for the demo and the bench."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import comporta
from comporta.errors import ComportaError
from comporta.i18n import _

READY_S = 20.0
STOP_S = 10.0
WORDS_MAX = 2000
_POLL_S = 0.1


def free_port() -> int:
    """A port on loopback that nobody listens on right now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@asynccontextmanager
async def gateway(folder: Path, fleet: Path, port: int, workers: int = 1) -> AsyncIterator[int]:
    """Run a gateway with its data in `folder`: its pid. Ready on entering, gone on leaving.

    Raises:
        ComportaError: it did not become ready; its last words are in the message.
    """
    # Whatever this machine's gateway is told must not reach the child.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
    environment |= {
        "COMPORTA_DATA": str(folder / "data"),
        "COMPORTA_LOG_LEVEL": "warning",
        # The child starts elsewhere: a relative path to the package would not lead there.
        "PYTHONPATH": str(Path(comporta.__file__).parent.parent),
    }
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "comporta.cli", "serve", "--host", "127.0.0.1"),
            *("--port", str(port), "--fleet", str(fleet), "--workers", str(workers)),
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C here must not reach it before we are done with it
        )
        try:
            await _ready(process, port, log)
            yield process.pid
        finally:
            await _stop(process)


async def _ready(process: Process, port: int, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_S):
            while not await _answers(port):
                if process.returncode is not None:
                    break
                await asyncio.sleep(_POLL_S)
            else:
                return
    except TimeoutError:
        pass
    raise ComportaError(_("The gateway did not start:\n{words}").format(words=_last_words(log)))


def _last_words(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()[-WORDS_MAX:]


async def _answers(port: int) -> bool:
    """Whether `/readyz` answers 200."""
    return b" 200 " in (await asked(port, "/readyz")).partition(b"\r\n")[0]


async def asked(port: int, path: str) -> bytes:
    """The whole answer to a GET, with its head; empty if there is none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
