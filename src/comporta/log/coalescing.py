"""One confirmation for many appends: what waits becomes a group while the last is under way.

The group grows with the load by itself, as a group commit does, so a slow server costs latency and
not throughput. One group is under way at a time, so records arrive in the order of their appending.
It is for logs on a server elsewhere; it knows nothing of them but how a group is sent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from comporta.domain.event import Record
from comporta.errors import StoreError, StoreUnavailableError
from comporta.log.port import Receipt

GROUP_RECORDS_MAX = 512
GROUP_BYTES_MAX = 4 * 1024 * 1024
Send = Callable[[Sequence[Record]], Awaitable[Sequence[StoreError | None]]]
"""Sends a group, within its own deadline; for each record None (it is durable) or what is wrong.

Raises StoreUnavailableError where that is the same for all of them.
"""
_log = structlog.get_logger(__name__)


class Coalescer:
    """What is appended and not confirmed yet, in one process.

    Args:
        send: see `Send`.
        records_max: in one group.
        bytes_max: stop gathering once a group has this many bytes.
    """

    def __init__(
        self,
        send: Send,
        *,
        records_max: int = GROUP_RECORDS_MAX,
        bytes_max: int = GROUP_BYTES_MAX,
    ) -> None:
        self.pending_bytes = 0
        self._send, self._records_max, self._bytes_max = send, records_max, bytes_max
        self._waiting: deque[tuple[Record, Receipt]] = deque()
        self._more = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; on the event loop that will call `append`."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send what was appended, then stop."""
        self._closing = True
        self._more.set()
        if self._task is not None:
            await self._task

    def append(self, record: Record) -> asyncio.Future[object]:
        """See `Log.append`."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.hand_over(record, future)
        return future

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See `Log.hand_over`."""
        self.pending_bytes += len(record.body)
        self._waiting.append((record, receipt))
        self._more.set()

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
                continue
            group = self._gather()
            outcomes = await self._outcomes([record for record, _ in group]) if group else []
            for (record, receipt), outcome in zip(group, outcomes, strict=True):
                self.pending_bytes -= len(record.body)
                tell(receipt, outcome)

    def _gather(self) -> list[tuple[Record, Receipt]]:
        group: list[tuple[Record, Receipt]] = []
        size = 0
        while self._waiting and len(group) < self._records_max and size < self._bytes_max:
            record, receipt = self._waiting.popleft()
            if receipt.done():  # nobody waits for it any more
                self.pending_bytes -= len(record.body)
            else:
                group.append((record, receipt))
                size += len(record.body)
        return group

    async def _outcomes(self, records: Sequence[Record]) -> Sequence[Exception | None]:
        try:
            return await self._send(records)
        except StoreUnavailableError as error:
            return [error] * len(records)
        except Exception as error:  # noqa: BLE001  (a supervisor: logged, and told to the callers)
            _log.error("append.failed", error=str(error), exc_info=error)
            return [error] * len(records)


def tell(receipt: Receipt, outcome: Exception | None) -> None:
    """Tell a receipt what became of its record, if it still waits; None: it is durable."""
    try:
        if receipt.done():
            return
        if outcome is None:
            receipt.set_result(None)
        else:
            receipt.set_exception(outcome)
    except Exception:  # noqa: BLE001  (a supervisor: the others must be told)
        _log.exception("receipt.failed")
