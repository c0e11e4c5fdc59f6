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
    """What a read brought."""

    entries: tuple[Entry, ...]
    reached: dict[int, int]
    """Asked partition → the offset up to which it is read now."""


class LogHealth(msgspec.Struct, frozen=True):
    """What a log says of itself. Texts are sentences for people: what is wrong and what to do."""

    engine: str
    error: str = ""
    """"" while appends work."""
    degraded: str = ""
    """Appends work, but not as they should: the spool is in use."""
    warnings: tuple[str, ...] = ()
    """Settings of the engine's server that weaken what is promised, each by its name."""


class Receipt(Protocol):
    """Who is told what became of a record; an `asyncio.Future` is one. Called on the event loop."""

    def done(self) -> bool:
        """Nobody waits any more: what has not been sent yet need not be sent."""
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

    async def identity(self) -> str:
        """Which log it is: positions in another one mean nothing here.

        Raises:
            StoreUnavailableError: it cannot be told now.
        """
        ...

    def assigned(self) -> frozenset[int] | None:
        """The partitions that the engine's own group gives to this process.

        None: it has no opinion, and workers share them evenly. Asked by dispatch only, which is
        how an engine learns that this process wants to read.
        """
        ...

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
            after: partition → the offset of the last entry already read (0: from the start). What
                a log holds of a partition that is not named goes to its next reader.
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

    async def committed(self) -> dict[int, int]:
        """Partition → the watermark as it is stored; without those of which nothing is.

        What is at or below it may be there yet: a log forgets when it suits it.
        """
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
        """Start. Does not fail for a full or broken disk, nor for a server that is away.

        `health` tells, appends are refused, and it recovers by itself.

        Raises:
            ConfigError: what is there does not fit these settings, or cannot be trusted with them.
        """
        ...

    async def close(self) -> None:
        """Finish what was appended, then stop."""
        ...


class Broker(Log, Protocol):
    """A log on a server elsewhere, which may be away for a while."""

    async def probe(self) -> None:
        """Find out whether an append would be confirmed now; within about a second.

        Raises:
            StoreUnavailableError: it would not.
        """
        ...
