"""How a worker leaves: what it does between a SIGTERM and the moment in which uvicorn stops it.

First it says so: `/readyz` answers 503, and each answer ends its connection, while calls are still
taken in for `leave_s` seconds, in which balancers notice. Then the port is closed (see
`comporta.listening`), what is under way is finished, and partitions are given back. A second
SIGTERM ends it at once, as a power cut would: what was acknowledged is durable.

The workers of one server share their port, so it is their parent that leaves (`supervising.py`) and
tells them with SIGUSR1; one that gets a SIGTERM alone makes way for others, and has nothing to say.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog

from comporta.listening import closing
from comporta.serving import WebhookProtocol

ANNOUNCE = signal.SIGUSR1
"""What a parent sends its workers when the whole server leaves."""
AT_ONCE = 128 + signal.SIGTERM
_log = structlog.get_logger(__name__)


class Leaving:
    """This worker's way out.

    Args:
        leave_s: between saying so and closing the port, seconds.
        inherited: whether the port belongs to somebody else, who keeps it open.
        at_once: called before the process ends at once.
    """

    def __init__(self, leave_s: float, inherited: bool, at_once: Callable[[], None]) -> None:
        self._leave_s, self._inherited, self._at_once = leave_s, inherited, at_once
        self.announced = False
        """No new webhooks are wanted here."""
        self._asked = 0
        self._uvicorn: Any = None
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Take the signals over from uvicorn, whose handler is called in the end."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        self._uvicorn = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if self._uvicorn is None:  # another server, which has its own way
            return
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(ANNOUNCE, self._on_announce)

    def announce(self) -> None:
        """Say that no new webhooks are wanted here."""
        if not self.announced:
            self.announced = WebhookProtocol.leaving = True
            _log.info("server.leaving", leave_s=self._leave_s)

    def _on_announce(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.announce)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1
        if self._asked == 1:
            self._loop.call_soon_threadsafe(self._begin, number, frame)
            return
        # In the handler itself, for the loop may be what does not turn.
        self._at_once()
        os._exit(AT_ONCE)

    def _begin(self, number: int, frame: FrameType | None) -> None:
        self._task = self._loop.create_task(self._leave(number, frame))

    async def _leave(self, number: int, frame: FrameType | None) -> None:
        if multiprocessing.parent_process() is None:
            self.announce()
            await asyncio.sleep(self._leave_s)
            for port in self._ports():
                for rest_s in closing(port):
                    await asyncio.sleep(rest_s)
        self._uvicorn.handle_exit(number, frame)

    def _ports(self) -> list[socket.socket]:
        if self._inherited or self._uvicorn.config.fd is not None or self._uvicorn.config.uds:
            return []
        numbers = [one.fileno() for server in self._uvicorn.servers for one in server.sockets]
        return [socket.socket(fileno=os.dup(number)) for number in numbers]
