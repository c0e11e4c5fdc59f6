"""Retention on the ledger in PostgreSQL: whole days are exchanged for what is still needed of them.

What was needed then is looked at again row by row, as in SQLite. So a thing may stay until the day
is over in which it came in; the clock of days is UTC.
"""

import time
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from comporta.clients.postgresql import Connection, Pool
from comporta.domain.growth import SAMPLES_MAX, Room, Sample
from comporta.domain.ids import first_at, millis_of
from comporta.ledger.keeping import OPERATIONS_MAX, Counted, Kept, Measure, Pruned
from comporta.ledger.postgres import thinning
from comporta.ledger.postgres.days import DAY_MS, range_of
from comporta.ledger.sql import blocks

SQL = blocks("postgres_keeping")
NUDGES_KEPT_MS = 86_400_000
TIDY_ROWS = 500
_ABOVE_ALL = 2**63 - 1


class PostgresKeeping:
    """The `Keeping` port; a part of `PostgresLedger`.

    Args:
        upkeep: what may take long and holds up nobody.
        watch: for short questions.
    """

    def __init__(self, upkeep: Pool, watch: Pool) -> None:
        self._upkeep, self._watch = upkeep, watch

    async def first_at_ms(self, kind: Kept, since_ms: int) -> int | None:
        """See the port."""
        rows = await self._upkeep.run(_fetch, f"first_{kind}", first_at(since_ms))
        return millis_of(rows[0][0]) if rows else None

    async def counted(
        self, kind: Kept, after_id: int, span_ms: tuple[int, int], rows: int
    ) -> Counted:
        """See the port."""
        after = max(after_id, first_at(span_ms[0]) - 1)
        until = first_at(span_ms[1])
        found = await self._upkeep.run(_fetch, f"tally_{kind}", after, until, rows)
        size = sum(int(row[1]) for row in found)
        return Counted(len(found), size, found[-1][0] if len(found) == rows else 0)

    async def measures(self, kind: Kept) -> list[Measure]:
        """See the port."""
        return [Measure(*row) for row in await self._upkeep.run(_fetch, "measures", kind.value)]

    async def keep_measure(self, kind: Kept, measure: Measure) -> None:
        """See the port."""
        values = (kind.value, measure.start_ms, measure.rows, measure.bytes, measure.settled)
        await self._upkeep.run(_fetch, "keep_measure", *values)

    async def forget_measures(self, kind: Kept, before_ms: int) -> None:
        """See the port."""
        await self._upkeep.run(_fetch, "forget_measures", kind.value, before_ms)

    async def prune(self, kind: Kept, after_id: int, before_ms: int, rows: int) -> Pruned:
        """See the port. What came in on the day of `before_ms` stays."""
        days = await self._upkeep.run(thinning.days, kind)
        ahead = [
            day
            for day in days
            if day.number < before_ms // DAY_MS and range_of(day.number)[1] - 1 > after_id
        ]
        if not ahead:
            return Pruned(0, 0, more=False, took_ms=0.0)
        low, high = range_of(ahead[0].number)
        if after_id < low - 1:
            whole = await self._whole(kind, ahead[0])
            if whole is not None:
                return replace(whole, more=whole.more and len(ahead) > 1)
        step = await self._upkeep.run(_prune, kind, max(after_id, low - 1), low, high, rows)
        return step if step.more else replace(step, last_id=high - 1, more=len(ahead) > 1)

    async def _whole(self, kind: Kept, day: thinning.Day) -> Pruned | None:
        """Forget a day at once. None: it is to be looked at row by row."""
        count = await self._upkeep.run(thinning.needed, kind, day.number)
        if count > thinning.NEEDED_MAX or (day.thinned and count):
            return None
        began_s = time.perf_counter()
        try:
            gone = await self._upkeep.run(thinning.copy, kind, day.number)
            began_s = time.perf_counter()
            await self._upkeep.run(thinning.exchange, kind, day.number)
        except thinning.TooMuchError:
            return None
        except thinning.BusyError:
            return Pruned(0, 0, more=False, took_ms=_since_ms(began_s))
        return Pruned(gone, range_of(day.number)[1] - 1, more=True, took_ms=_since_ms(began_s))

    async def dead_bytes(self, before_id: int | None, rows: int) -> list[tuple[int, int]]:
        """See the port."""
        before = _ABOVE_ALL if before_id is None else before_id
        found = await self._upkeep.run(_fetch, "dead_bytes", before, rows)
        return [(number, size) for number, size in found]

    async def tidy(self, now_ms: int) -> bool:
        """See the port."""
        before_ms = now_ms - NUDGES_KEPT_MS
        nudges = await self._upkeep.run(_fetch, "forget_nudges", before_ms, TIDY_ROWS)
        operations = await self._upkeep.run(_fetch, "forget_operations", OPERATIONS_MAX, TIDY_ROWS)
        return TIDY_ROWS in {nudges[0][0], operations[0][0]}

    async def room(self) -> Room:
        """See the port. Tables that are gone give their room back, and nothing is kept spare."""
        return Room((await self._watch.run(_fetch, "stored_bytes"))[0][0], 0)

    async def gives_back(self) -> bool:
        """See the port."""
        return True

    async def add_sample(self, sample: Sample) -> None:
        """See the port."""
        values = (sample.at_ms, sample.stored_bytes, sample.free_bytes)
        await self._upkeep.run(_fetch, "add_sample", *values)
        await self._upkeep.run(_fetch, "forget_samples", SAMPLES_MAX)

    async def samples(self) -> list[Sample]:
        """See the port."""
        return [Sample(*row) for row in await self._watch.run(_fetch, "samples")]


async def _fetch(connection: Connection, name: str, *values: object) -> list[Sequence[Any]]:
    return await connection.fetch(SQL[name], *values)


async def _prune(  # noqa: PLR0913, PLR0917  (a step, and the day that it is in)
    connection: Connection, kind: Kept, after_id: int, low: int, high: int, rows: int
) -> Pruned:
    found = await connection.fetch(SQL[f"old_{kind}"], after_id, high, rows)
    gone = [number for number, needed in found if not needed]
    if gone and kind is Kept.ATTEMPTS:  # what has come to its end and is not dead stays so
        await connection.execute(SQL["forget_attempts"], gone)
    elif gone:
        gone = await _forget(connection, kind, gone, low)
    last_id = found[-1][0] if found else 0
    # Nobody else writes these rows, so nobody waits: a step takes as many as it may.
    return Pruned(len(gone), last_id, len(found) == rows, took_ms=0.0)


async def _forget(
    connection: Connection, kind: Kept, numbers: Sequence[int], low: int
) -> list[int]:
    """Forget bodies, or events, that nobody has begun to need; which of them."""
    # A replay that has one of the bodies is waited for, and a later one finds none.
    await connection.fetch(SQL["hold_bodies"], numbers)
    gone = [row[0] for row in await connection.fetch(SQL["still_old"], numbers, low)]
    if kind is Kept.EVENTS:
        made = await connection.fetch(SQL["forget_deliveries"], gone, low)
        await connection.execute(SQL["forget_attempts"], [row[0] for row in made])
        await connection.execute(SQL["forget_events"], gone)
    await connection.execute(SQL["forget_bodies"], gone)
    return gone


def _since_ms(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1000
