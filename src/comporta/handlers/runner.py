"""Runs handlers in one thread of their own, so that one that blocks cannot block dispatch.

The dispatch loop hands deliveries over and waits; the thread has an event loop that belongs to the
users' code alone.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import msgspec
import structlog
import uvloop

from comporta.clock import now_ms
from comporta.domain.delivery import AttemptResult, Delivery, Ending
from comporta.handlers.call import Ended, call, overdue, result_of
from comporta.handlers.registry import Handler
from comporta.handlers.watchdog import Block, Watchdog

GRACE_S = 2.0
"""For ending a call that was cancelled, before dispatch goes on without it."""
START_S = 10.0
_log = structlog.get_logger(__name__)


class HandlersEndedError(RuntimeError):
    """The handlers' thread ended by itself: a defect, for which the process has to start anew."""


class _Run(msgspec.Struct):
    """A call under way."""

    handler: str
    block: Block | None = None
    """The time that it blocked the loop, or was held up."""


class HandlerRunner:
    """See the module. Everything but `_attempt` is called on the dispatch loop.

    Args:
        handlers: all that can be asked for.
        blocked: told the name of a handler that blocks the loop, once for each time.
    """

    def __init__(self, handlers: Iterable[Handler], blocked: Callable[[str], None]) -> None:
        self._handlers = {one.name: one for one in handlers}
        self._blocked = blocked
        self._runs: dict[asyncio.Task[Any] | None, _Run] = {}
        self._closing = False
        self._cause: BaseException | None = None
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._over: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name="handlers", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._watchdog: Watchdog

    async def open(self) -> None:
        """Start the thread, if there are handlers; return when its loop runs."""
        if not self._handlers:
            return
        self._thread.start()
        async with asyncio.timeout(START_S):
            self._loop = await asyncio.wrap_future(self._ready)
        self._watchdog = Watchdog(
            self._loop, self._thread.ident or 0, self._running_now, self._block_began
        )

    async def watch(self) -> None:
        """Watch over the thread, until cancelled.

        Raises:
            HandlersEndedError: it ended, though nobody closed it.
        """
        if not self._handlers:
            return
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watchdog.run())
            # Shielded: cancelling a wrapped future would cancel what the thread has to set.
            await asyncio.shield(asyncio.wrap_future(self._over))
            watching.cancel()
        if not self._closing:
            raise HandlersEndedError("the handlers' thread has ended") from self._cause

    async def close(self, drain_s: float) -> None:
        """Cancel what is under way; leave a thread that does not end within `drain_s` seconds."""
        self._closing = True
        if not self._handlers:
            return
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.wait([asyncio.wrap_future(self._over)], timeout=drain_s)

    async def send(
        self, name: str, delivery: Delivery, instance: str, timeout_s: float
    ) -> AttemptResult:
        """One attempt. Cancelling it cancels the handler; nothing else is raised.

        Args:
            name: of the handler.
            delivery: what with.
            instance: the name of the instance that the event came from.
            timeout_s: for the whole attempt, seconds.
        """
        started_at_ms, began = now_ms(), time.perf_counter()
        handler, run = self._handlers.get(name), _Run(name)
        if handler is None or self._closing or self._over.done():
            ended = Ended(Ending.PASSING, f"no handler {name} runs here")
        else:
            ended = await self._ended(handler, run, delivery, instance, timeout_s)
        note = run.block.note if run.block else ""
        return result_of(ended, started_at_ms, began, note)

    async def _ended(
        self, handler: Handler, run: _Run, delivery: Delivery, instance: str, timeout_s: float
    ) -> Ended:
        calling = self._attempt(run, handler, delivery, instance, timeout_s)
        future = asyncio.run_coroutine_threadsafe(calling, self._loop)
        try:
            async with asyncio.timeout(timeout_s + GRACE_S):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            # The loop is held up, or the handler does not let itself be cancelled.
            run.block = run.block or self._watchdog.block
            if run.block is None:
                _log.error("handler.not_cancelled", handler=run.handler, timeout_s=timeout_s)
            return Ended(Ending.PASSING, overdue(timeout_s))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Ended(Ending.PASSING, "the gateway stopped meanwhile")

    # In the thread

    def _live(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._until_stopped())
        except BaseException as problem:  # noqa: BLE001  (`watch` raises it, where it is heard)
            self._cause = problem
        finally:
            self._over.set_result(None)

    async def _until_stopped(self) -> None:
        self._stop = asyncio.Event()
        self._ready.set_result(asyncio.get_running_loop())
        await self._stop.wait()

    async def _attempt(
        self, run: _Run, handler: Handler, delivery: Delivery, instance: str, timeout_s: float
    ) -> Ended:
        task = asyncio.current_task()
        self._runs[task] = run
        try:
            return await call(handler, delivery, instance, timeout_s)
        finally:
            del self._runs[task]

    # For the watchdog

    def _running_now(self) -> str:
        run = self._runs.get(asyncio.current_task(self._loop))
        return run.handler if run else ""

    def _block_began(self, block: Block) -> None:
        run = self._runs.get(asyncio.current_task(self._loop))
        if run is not None:
            run.block = block
        self._blocked(block.handler)
