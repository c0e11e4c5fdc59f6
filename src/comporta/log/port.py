"""What ingest and dispatch may ask of a log, whatever engine is behind it.

A log is a pipe: append, read a batch, commit a watermark. Retries, delays, dead letters and order
within a lane are not its business.
"""

from collections.abc import Awaitable, Mapping
from typing import Protocol

import msgspec

from comporta.domain.event import Record
from comporta.domain.growth import Room


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record and its place. Offsets rise within a partition; gaps are normal."""

    offset: int
    record: Record


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What a read brought, and the offset up to which every asked partition is read now."""

    entries: tuple[Entry, ...]
    reached: int


class LogHealth(msgspec.Struct, frozen=True):
    """`error` is "" while appends work; else what is wrong and what to do, in a sentence."""

    engine: str
    error: str = ""


class Receipt(Protocol):
    """Who is told what became of a record; an `asyncio.Future` is one. Called on the event loop."""

    def done(self) -> bool:
        """Nobody waits any more."""
        ...

    def set_result(self, result: object, /) -> None:
        """The record is durable."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """It is not stored, as far as can be told; a `StoreError`."""
        ...


class Log(Protocol):
    """One process's view of the log."""

    partitions: int

    def append(self, record: Record) -> Awaitable[object]:
        """Hand over a record; what is returned finishes once it is durable.

        Raises:
            StoreUnavailableError: it is not stored, as far as can be told; nothing was promised.
        """
        ...

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """`append` for whom a future is too much: the receipt is told once."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Bytes accepted by `append` and not yet durable: what admission looks at."""
        ...

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """The next entries of the given partitions, in order within each.

        Args:
            after: partition → the offset of the last entry already read (0: from the start).
            events_max: at most about this many entries.
            bytes_max: stop once the bodies exceed this many bytes.
        """
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return when something may have been appended, or after `timeout_s`."""
        ...

    async def commit(self, watermark: Mapping[int, int]) -> None:
        """Everything up to these offsets is in the ledger, durably: the log may forget it."""
        ...

    async def lag(self) -> int:
        """How many entries are appended and not yet committed, over all partitions."""
        ...

    async def room(self) -> Room:
        """How much is stored."""
        ...

    def health(self) -> LogHealth:
        """Whether appends work right now."""
        ...

    async def open(self) -> None:
        """Start. Does not fail for a full or broken disk: `health` tells, appends are refused."""
        ...

    async def close(self) -> None:
        """Finish what was appended, then stop."""
        ...
