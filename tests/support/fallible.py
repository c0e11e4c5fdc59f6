"""A broker for tests of faults: an embedded log, and switches that make it fail as servers do.

What is wrong stands in a file beside it, so that it is wrong in every process that uses it. Nothing
else is changed: what it confirms is in its own file.
"""

import asyncio
import os
import time
from collections.abc import Callable
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
    """Appends are refused."""
    FROZEN = "frozen"
    """What is appended goes nowhere until it thaws."""
    LATE = "late"
    """It is stored at once, and confirmed when it thaws."""


def fail(folder: Path, fault: Fault, *partitions: int) -> None:
    """Let something be wrong with the broker in this folder, or with some of its partitions."""
    draft = folder / "fault.draft"
    draft.write_text(" ".join([fault, *map(str, partitions)]))
    draft.rename(folder / "fault")


def mend(folder: Path) -> None:
    """Let all be well."""
    (folder / "fault").unlink(missing_ok=True)


class FallibleLog(SqliteLog):
    """The `Broker` port; see `fail`."""

    def __init__(self, folder: Path, partitions: int) -> None:
        super().__init__(folder / "broker.db", partitions)
        self._switch = str(folder / "fault")
        self._held: list[Callable[[], None]] = []
        self._thawing: asyncio.Task[None] | None = None
        self.handed = 0
        """How many appends it has seen."""

    def _wrong(self) -> tuple[Fault | None, list[str]]:
        """What is wrong now, and with which partitions; with all, if there are none."""
        try:
            os.stat(self._switch)  # noqa: PTH116  (once for each record)
            fault, *partitions = Path(self._switch).read_text().split()
        except FileNotFoundError:
            return None, []
        return Fault(fault), partitions

    def _suffers(self, record: Record) -> Fault | None:
        fault, partitions = self._wrong()
        return fault if not partitions or str(record.partition) in partitions else None

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        self.handed += 1
        match self._suffers(record):
            case Fault.DOWN:
                receipt.set_exception(StoreUnavailableError(DOWN_WORDS))
            case Fault.FROZEN:
                self.hold(lambda: self._after_all(record, receipt))
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
        self._held.append(act)
        if self._thawing is None:
            self._thawing = asyncio.create_task(self._thaw())

    async def _thaw(self) -> None:
        while self._wrong()[0] in {Fault.FROZEN, Fault.LATE}:
            await asyncio.sleep(LOOK_S)
        self._thawing = None
        held, self._held = self._held, []
        for act in held:
            act()

    async def probe(self) -> None:
        """See the port."""
        ends_at = time.monotonic() + PROBE_S
        while True:
            fault, partitions = self._wrong()
            if fault is None or partitions:
                return
            if fault is Fault.DOWN or time.monotonic() > ends_at:
                raise StoreUnavailableError(DOWN_WORDS)
            await asyncio.sleep(LOOK_S)

    def health(self) -> LogHealth:
        """See the port: one that is frozen does not know it."""
        known = super().health()
        down = self._wrong() == (Fault.DOWN, [])
        return LogHealth("fallible", known.error or (DOWN_WORDS if down else ""))

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
        self._log.hold(lambda: self._tell(result))

    def _tell(self, result: object) -> None:
        if not self._receipt.done():
            self._receipt.set_result(result)

    def set_exception(self, error: BaseException) -> None:
        self._receipt.set_exception(error)
