"""Retention on the SQLite ledger: counting by ranges of ids, and forgetting by the handful.

Ids rise with time, so a span of time is a range of keys, and nothing is searched for.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import apsw

from comporta.domain.growth import SAMPLES_MAX, Room, Sample
from comporta.domain.ids import first_at, millis_of
from comporta.embedded.reader import Reader
from comporta.embedded.room import room
from comporta.embedded.rows import every, one
from comporta.embedded.upkeep import gives_back
from comporta.ledger.keeping import OPERATIONS_MAX, Counted, Kept, Measure, Pruned
from comporta.ledger.sql import blocks

SQL = blocks("sqlite_keeping")
NUDGES_KEPT_MS = 86_400_000
TIDY_ROWS = 500
_FORGET = {
    Kept.BODIES: ("forget_body",),
    Kept.ATTEMPTS: ("forget_attempts",),
    Kept.EVENTS: (
        "forget_attempts_of_event",
        "forget_deliveries",
        "forget_body",
        "forget_event",
    ),
}
P = ParamSpec("P")
T = TypeVar("T")


class Write(Protocol):
    """Runs a job in a transaction of the ledger's writer."""

    def __call__(
        self, job: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """What the job returns."""
        ...


class SqliteKeeping:
    """The `Keeping` port; a part of `SqliteLedger`.

    Args:
        reader: the ledger's.
        write: the ledger's.
    """

    def __init__(self, reader: Reader, write: Write) -> None:
        self._reader, self._write = reader, write

    async def first_at_ms(self, kind: Kept, since_ms: int) -> int | None:
        """See the port."""
        row = await self._reader.run(one, SQL[f"first_{kind}"], (first_at(since_ms),))
        return None if row[0] is None else millis_of(row[0])

    async def counted(
        self, kind: Kept, after_id: int, span_ms: tuple[int, int], rows: int
    ) -> Counted:
        """See the port."""
        after = max(after_id, first_at(span_ms[0]) - 1)
        values = (after, first_at(span_ms[1]), rows)
        found = await self._reader.run(every, SQL[f"tally_{kind}"], values)
        size = sum(row[1] for row in found)
        return Counted(len(found), size, found[-1][0] if len(found) == rows else 0)

    async def measures(self, kind: Kept) -> list[Measure]:
        """See the port."""
        rows = await self._reader.run(every, SQL["measures"], (kind.value,))
        return [Measure(start, count, size, bool(settled)) for start, count, size, settled in rows]

    async def keep_measure(self, kind: Kept, measure: Measure) -> None:
        """See the port."""
        values = (kind.value, measure.start_ms, measure.rows, measure.bytes, measure.settled)
        await self._write(_do, "keep_measure", values)

    async def forget_measures(self, kind: Kept, before_ms: int) -> None:
        """See the port."""
        await self._write(_do, "forget_measures", (kind.value, before_ms))

    async def prune(self, kind: Kept, after_id: int, before_ms: int, rows: int) -> Pruned:
        """See the port."""
        return await self._write(_prune, kind, after_id, before_ms, rows)

    async def dead_bytes(self, before_id: int | None, rows: int) -> list[tuple[int, int]]:
        """See the port."""
        return await self._reader.run(every, SQL["dead_bytes"], (before_id, rows))

    async def tidy(self, now_ms: int) -> bool:
        """See the port."""
        old = (now_ms - NUDGES_KEPT_MS, TIDY_ROWS)
        nudges = await self._write(_do, "forget_nudges", old)
        beyond = (OPERATIONS_MAX, TIDY_ROWS)
        operations = await self._write(_do, "forget_operations", beyond)
        return max(nudges, operations) == TIDY_ROWS

    async def room(self) -> Room:
        """See the port."""
        return await self._reader.run(room)

    async def gives_back(self) -> bool:
        """See the port."""
        return await self._reader.run(gives_back)

    async def add_sample(self, sample: Sample) -> None:
        """See the port."""
        values = (sample.at_ms, sample.stored_bytes, sample.free_bytes)
        await self._write(_do, "add_sample", values)
        await self._write(_do, "forget_samples", (SAMPLES_MAX,))

    async def samples(self) -> list[Sample]:
        """See the port."""
        return [Sample(*row) for row in await self._reader.run(every, SQL["samples"])]


def _do(connection: apsw.Connection, name: str, values: Sequence[object]) -> int:
    """Run a statement; how many rows it changed."""
    connection.execute(SQL[name], values)
    return connection.changes()


def _prune(
    connection: apsw.Connection, kind: Kept, after_id: int, before_ms: int, rows: int
) -> Pruned:
    began_s = time.perf_counter()
    found = every(connection, SQL[f"old_{kind}"], (after_id, first_at(before_ms), rows))
    gone = [(number,) for number, needed in found if not needed]
    for name in _FORGET[kind]:
        connection.executemany(SQL[name], gone)
    took_ms = (time.perf_counter() - began_s) * 1000
    return Pruned(len(gone), found[-1][0] if found else 0, len(found) == rows, took_ms)
