"""Records for tests, and ways to drive a log from a test function."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from comporta.domain.event import Headers, Record
from comporta.log.port import Entry, Log

T = TypeVar("T")
ENOUGH = 10_000
ALL_BYTES = 1 << 40


def record(  # noqa: PLR0913  (what tests vary)
    partition: int = 0,
    body: bytes = b"{}",
    *,
    headers: Headers = (),
    event_type: str = "message_created",
    source_id: str = "src_1",
    subject: str = "conversation:1",
    account_id: int | None = 3,
    instance_id: str = "ins_1",
) -> Record:
    """A record of `partition`."""
    return Record(
        partition=partition,
        accepted_at_ms=1_795_500_000_000,
        instance_id=instance_id,
        source_id=source_id,
        event_type=event_type,
        account_id=account_id,
        subject=subject,
        verified=False,
        headers=headers,
        body=body,
    )


@asynccontextmanager
async def opened(*logs: Log) -> AsyncIterator[None]:
    """Open them, and close them whatever happens."""
    for log in logs:
        await log.open()
    try:
        yield
    finally:
        for log in logs:
            await log.close()


async def append_all(log: Log, records: Sequence[Record]) -> None:
    """Append all at once; return when all are durable."""
    await asyncio.gather(*[log.append(one) for one in records])


async def read_all(
    log: Log, partitions: Sequence[int] | None = None, events_max: int = ENOUGH
) -> list[Entry]:
    """Everything that is there now, from the start."""
    return (await _read_all(log, partitions, events_max, commit=False))[0]


async def take_all(log: Log) -> list[Entry]:
    """Everything that is there now, taken over as dispatch does: what was read is committed."""
    return (await _read_all(log, None, ENOUGH, commit=True))[0]


async def end_of(log: Log, partitions: Sequence[int] | None = None) -> dict[int, int]:
    """Partition → the offset up to which it is read once everything is."""
    return (await _read_all(log, partitions, ENOUGH, commit=False))[1]


async def _read_all(
    log: Log, partitions: Sequence[int] | None, events_max: int, *, commit: bool
) -> tuple[list[Entry], dict[int, int]]:
    after = dict.fromkeys(partitions if partitions is not None else range(log.partitions), 0)
    found: list[Entry] = []
    while True:
        batch = await log.read(after, events_max, ALL_BYTES)
        found += batch.entries
        if batch.reached == after:
            return found, after
        after = batch.reached
        if commit:
            await log.commit(after)


def bare(entry: Entry) -> Record:
    """The record as it was appended: a log may have given it an id."""
    return msgspec.structs.replace(entry.record, uid=b"")


async def until(what: str, happens: Callable[[], Awaitable[T]], within_s: float = 30.0) -> T:
    """Ask until something true comes back; fail with `what` if it does not."""
    ends_at = time.monotonic() + within_s
    while True:
        seen = await happens()
        if seen:
            return seen
        if time.monotonic() > ends_at:
            raise AssertionError(f"not within {within_s:g} s: {what} (last seen: {seen!r})")
        await asyncio.sleep(0.02)
