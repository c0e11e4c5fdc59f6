"""Group commit: many durable writes for the price of one, on a thread of its own.

Callers on the event loop hand over items and get a future each. The writer thread takes whatever is
waiting, writes it in one transaction, syncs once, and only then resolves the futures. While it
syncs, the next group gathers, so the group grows with the load by itself and a slow disk costs
latency, not throughput. It is one of the two supervisors of the house: a failing file fails the
group's futures, is reported by `error`, and is opened anew for the next group; the thread lives.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import apsw
import structlog

from comporta.embedded.connection import unavailable
from comporta.embedded.gate import Gate, gate_of
from comporta.errors import StoreError
from comporta.i18n import _

Item_contra = TypeVar("Item_contra", contravariant=True)
T = TypeVar("T")

LOOK_PERIOD_S = 0.05
"""How often to see whether the file is still the one that is open."""
PROBE_PERIOD_S = 1.0
"""How often a file that failed is tried again while nobody writes."""
FIRST_TRY_S = 5.0
"""How long the start waits to learn whether the file can be written."""
_log = structlog.get_logger(__name__)


class Session(Protocol[Item_contra]):
    """An open file, as the writer needs it."""

    connection: apsw.Connection

    def write(self, items: Sequence[Item_contra]) -> list[object]:
        """Write a group in one transaction; a result, or an exception, for each item.

        An empty group is a probe: write something, to find out whether writing works again.
        """
        ...


class Receipt(Protocol):
    """Who is told what became of an item; an `asyncio.Future` is one."""

    def done(self) -> bool:
        """Nobody waits any more."""
        ...

    def set_result(self, result: object, /) -> None:
        """It is durable."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """It is not."""
        ...


class _Group(Generic[T]):
    """What was taken from the queue for one transaction."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.receipts: list[Receipt] = []
        self.bytes = 0


class GroupCommit(Generic[T]):
    """The writer of one file in one process.

    Args:
        path: the database file, for messages and the gate.
        open_session: opens it; runs on the writer thread, again after every failure.
        group_max: items in one transaction at the most.
        group_bytes_max: stop gathering once a group has this many bytes.
        observe: called on the writer thread after each commit with items and seconds.
    """

    def __init__(
        self,
        path: Path,
        open_session: Callable[[], Session[T]],
        *,
        group_max: int = 512,
        group_bytes_max: int = 4 * 1024 * 1024,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self.error = ""
        self.pending_bytes = 0
        self._path = path
        self._open_session = open_session
        self._group_max = group_max
        self._group_bytes_max = group_bytes_max
        self._observe = observe
        self._queue: queue.SimpleQueue[tuple[T, int, Receipt] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"{path.name} writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._session: Session[T] | None = None
        self._inode = 0
        self._looked_at = 0.0
        self._committed = asyncio.Event()
        self._tried = asyncio.Event()
        self._failed = False
        self._gate: Gate = gate_of(path)

    def start(self) -> None:
        """Begin; on the event loop that will call `submit`."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def start_probing(self) -> None:
        """Begin, and find out whether the file can be written before anybody relies on it.

        It does not fail: `error` tells, and goes on telling should the answer take too long.
        """
        self.error = _("{path} is not open yet.").format(path=self._path)
        self.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY_S):
                await self._tried.wait()

    def submit(self, item: T, size: int = 0) -> asyncio.Future[object]:
        """Hand over an item. The future resolves once it is durable, or raises StoreError."""
        future: asyncio.Future[object] = self._loop.create_future()
        self.hand_over(item, size, future)
        return future

    def hand_over(self, item: T, size: int, receipt: Receipt) -> None:
        """`submit` for whom a future is too much: `receipt` is told on the event loop."""
        self.pending_bytes += size
        self._queue.put((item, size, receipt))

    async def wait_committed(self, timeout_s: float) -> None:
        """Return after the next commit of this process, or after `timeout_s`."""
        self._committed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._committed.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Write what was handed over, then stop and close the file."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        go_on = True
        if self.error:
            self._commit(_Group())
        while go_on:
            group, go_on = self._gather()
            if group.items or self.error:
                self._commit(group)
        self._forget_session()
        self._gate.close()

    def _gather(self) -> tuple[_Group[T], bool]:
        group: _Group[T] = _Group()
        try:
            entry = self._queue.get(timeout=PROBE_PERIOD_S if self.error else None)
        except queue.Empty:
            return group, True
        while entry is not None:
            item, size, receipt = entry
            group.items.append(item)
            group.receipts.append(receipt)
            group.bytes += size
            if len(group.items) >= self._group_max or group.bytes >= self._group_bytes_max:
                return group, True
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, group: _Group[T]) -> None:
        failure: Exception | None = None
        results: list[object] = []
        try:
            results = self._write(group.items)
        except (apsw.Error, OSError) as error:
            self._forget_session()
            failure = unavailable(error, self._path)
        except StoreError as error:
            self._forget_session()
            failure = error
        except Exception as error:  # noqa: BLE001  (a supervisor: recorded and handed to the callers)
            self._forget_session()
            failure = error
        self._tell(failure)
        self._loop.call_soon_threadsafe(self._resolve, group, results, failure)

    def _tell(self, failure: Exception | None) -> None:
        """Keep what is wrong; a line in the log only when that changes, not for every group."""
        self.error = (str(failure) or type(failure).__name__) if failure else ""
        if failure and not self._failed:
            defect = None if isinstance(failure, StoreError) else failure
            _log.error("store.failed", path=str(self._path), error=self.error, exc_info=defect)
        elif self._failed and not failure:
            _log.info("store.recovered", path=str(self._path))
        self._failed = failure is not None

    def _write(self, items: list[T]) -> list[object]:
        session = self._live_session()  # before the gate: a migration takes it, too
        with self._gate.turn():
            started = time.perf_counter()
            results = session.write(items)
        if self._observe is not None:
            self._observe(len(items), time.perf_counter() - started)
        return results

    def _live_session(self) -> Session[T]:
        """The session, opened anew if the file was put aside or replaced under our feet."""
        now = time.perf_counter()
        if self._session is not None and now - self._looked_at < LOOK_PERIOD_S:
            return self._session
        self._looked_at = now
        if self._session is not None:
            try:
                if self._path.stat().st_ino == self._inode:
                    return self._session
            except FileNotFoundError:
                pass
            self._forget_session()
        self._session = self._open_session()
        self._inode = self._path.stat().st_ino
        return self._session

    def _forget_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.connection.close()
            except apsw.Error as error:
                self.error = str(unavailable(error, self._path))

    def _resolve(
        self, group: _Group[T], results: list[object], failure: BaseException | None
    ) -> None:
        self.pending_bytes -= group.bytes
        self._tried.set()
        for index, receipt in enumerate(group.receipts):
            outcome = failure or results[index]
            try:
                if receipt.done():
                    continue
                if isinstance(outcome, BaseException):
                    receipt.set_exception(outcome)
                else:
                    receipt.set_result(outcome)
            except Exception:  # noqa: BLE001  (a supervisor: the others must be told)
                _log.exception("receipt.failed")
        if failure is None:
            self._committed.set()
