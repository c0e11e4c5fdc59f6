"""A broker for tests of faults: an embedded log, and switches that make it fail as servers do.

The switches are files beside it, so that they work on every process that uses it: `down` (appends
are refused), `frozen` (what is appended goes nowhere until it thaws), `late` (stored at once,
confirmed when it thaws). Nothing else is changed: what it confirms is in the file.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from comporta.domain.event import Record
from comporta.errors import StoreUnavailableError
from comporta.log.port import LogHealth, Receipt
from comporta.log.sqlite import SqliteLog

LOOK_S = 0.02
PROBE_S = 1.0
DOWN_WORDS = "The log's server refuses connections. Start it; it goes on by itself."


class Fault(StrEnum):
    """What can be wrong."""

    DOWN = "down"
    FROZEN = "frozen"
    LATE = "late"


class FallibleLog(SqliteLog):
    """The `Broker` port. `partial`: only these partitions are at fault, if any are named."""

    def __init__(self, folder: Path, partitions: int) -> None:
        super().__init__(folder / "broker.db", partitions)
        self._folder = folder
        self._held: list[Callable[[], None]] = []
        self._thawing: asyncio.Task[None] | None = None
        self.handed = 0

    def fault(self) -> Fault | None:
        """What is wrong now."""
        return next((one for one in Fault if (self._folder / one).exists()), None)

    def suffers(self, record: Record) -> Fault | None:
        """What is wrong for this record."""
        fault = self.fault()
        named = (self._folder / fault).read_text().split() if fault else []
        return fault if not named or str(record.partition) in named else None

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        self.handed += 1
        match self.suffers(record):
            case Fault.DOWN:
                receipt.set_exception(StoreUnavailableError(DOWN_WORDS))
            case Fault.FROZEN:
                self._hold(lambda: self._after_all(record, receipt))
            case Fault.LATE:
                super().hand_over(record, _Late(self, receipt))
            case None:
                super().hand_over(record, receipt)

    def append(self, record: Record) -> asyncio.Future[object]:
        """See the port."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.hand_over(record, future)
        return future

    def _after_all(self, record: Record, receipt: Receipt) -> None:
        if not receipt.done():
            self.hand_over(record, receipt)

    def hold(self, act: Callable[[], None]) -> None:
        """Do it once nothing is frozen."""
        self._hold(act)

    def _hold(self, act: Callable[[], None]) -> None:
        self._held.append(act)
        if self._thawing is None:
            self._thawing = asyncio.create_task(self._thaw())

    async def _thaw(self) -> None:
        while self.fault() in {Fault.FROZEN, Fault.LATE}:
            await asyncio.sleep(LOOK_S)
        self._thawing = None
        held, self._held = self._held, []
        for act in held:
            act()

    async def probe(self) -> None:
        """See the port."""
        fault = self.fault()
        if fault is None or (self._folder / fault).read_text():
            return  # well, or only some partitions are at fault
        if fault is not Fault.DOWN:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    await self._until_thawed()
                    return
        raise StoreUnavailableError(DOWN_WORDS)

    async def _until_thawed(self) -> None:
        while self.fault():
            await asyncio.sleep(LOOK_S)

    def health(self) -> LogHealth:
        """See the port: a frozen one does not know that it is."""
        known = super().health()
        down = self.fault() is Fault.DOWN and not (self._folder / Fault.DOWN).read_text()
        return LogHealth("fallible", known.error or (DOWN_WORDS if down else ""))

    async def _asked(self, question: Awaitable[int]) -> int:
        if self.fault() is not None:
            raise StoreUnavailableError(DOWN_WORDS)
        return await question

    async def close(self) -> None:
        """See the port. What is held is dropped, as a broken connection drops it."""
        if self._thawing is not None:
            self._thawing.cancel()
        await super().close()


class _Late:
    """Tells a receipt what became of its record, but not now."""

    def __init__(self, log: FallibleLog, receipt: Receipt) -> None:
        self._log, self._receipt = log, receipt

    def done(self) -> bool:
        return False

    def set_result(self, result: object) -> None:
        self._log.hold(lambda: self._receipt.done() or self._receipt.set_result(result))

    def set_exception(self, error: BaseException) -> None:
        self._receipt.set_exception(error)
