"""Finds a handler that blocks the event loop of all handlers, and says which line it stands at.

It runs on dispatch's own loop, asks the other one for a sign of life, and looks at that thread's
stack when none comes. It changes nothing: Python cannot end a thread.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from comporta.handlers.trace import stack_of, standing_at

LOOK_S = 0.25
BLOCKED_S = 1.0
"""A loop that does not answer for so long is blocked."""
AGAIN_S = 5.0
LINES_MAX = 20
"""Log lines for one blocking call."""
_log = structlog.get_logger(__name__)


class Block:
    """A time in which the loop did not answer."""

    def __init__(self, handler: str, place: tuple[str, int], stack: str, since: float) -> None:
        self.handler, self.place, self.stack, self.since = handler, place, stack, since
        self.seconds = 0.0
        self.lines = 0

    @property
    def note(self) -> str:
        """For the records of the attempts that it concerns."""
        who = self.handler or "a task"
        file, line = self.place
        said = f"{who} blocked the event loop of all handlers for {self.seconds:.1f} s"
        return f"{said} at {file}:{line}\n{self.stack}".rstrip()


class Watchdog:
    """Watches one loop in another thread.

    Args:
        loop: of the handlers.
        thread_id: that it runs in, as `threading.get_ident` says.
        running: which handler is running there right now; "" if that cannot be told.
        blocked: told of each block, once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread_id: int,
        running: Callable[[], str],
        blocked: Callable[[Block], None],
    ) -> None:
        self._loop, self._thread_id = loop, thread_id
        self._running, self._blocked = running, blocked
        self._asked_at: float | None = None
        self.block: Block | None = None
        """The present one."""

    async def run(self) -> None:
        """Watch until cancelled, or until the loop is closed."""
        while not self._loop.is_closed():
            self.look(time.monotonic())
            await asyncio.sleep(LOOK_S)

    def look(self, now: float) -> None:
        """Ask for a sign of life, or see what keeps it."""
        if self._asked_at is None:
            self._asked_at = now
            with suppress(RuntimeError):  # closed this very moment: there is nothing to watch
                self._loop.call_soon_threadsafe(self._answered)
        elif now - self._asked_at >= BLOCKED_S:
            self._see(now, self._asked_at)

    def _answered(self) -> None:
        """On the handlers' loop: it is alive."""
        asked_at, self._asked_at = self._asked_at, None
        block, self.block = self.block, None
        if block is not None and asked_at is not None:
            block.seconds = time.monotonic() - asked_at
            _log.warning("handler.freed_loop", handler=block.handler, for_s=round(block.seconds, 1))

    def _see(self, now: float, since: float) -> None:
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001  (documented, for this)
        handler = self._running()
        if frame is None or self._asked_at != since:
            return  # it has answered meanwhile
        block = self.block
        if block is None:
            block = self.block = Block(handler, standing_at(frame), stack_of(frame), since)
            self._blocked(block)
        block.seconds = now - since
        if block.lines < LINES_MAX and block.seconds >= BLOCKED_S + AGAIN_S * block.lines:
            block.lines += 1
            file, line = standing_at(frame)
            _log.error(
                "handler.blocks_loop",
                handler=block.handler,
                file=file,
                line=line,
                for_s=round(block.seconds, 1),
            )
