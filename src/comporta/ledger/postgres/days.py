"""The parts of a day in PostgreSQL: made ahead, and by whoever needs one that is not there.

A part is made beside the tables and attached, which holds up neither readers nor writers.
"""

from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Concatenate, ParamSpec, TypeVar

import asyncpg  # type: ignore[import-untyped]

from comporta.clients.postgresql import Connection, Pool
from comporta.domain.ids import first_at, millis_of
from comporta.errors import StoreUnavailableError
from comporta.i18n import _

DAY_MS = 86_400_000
TABLES = {"events": "id", "bodies": "event_id", "deliveries": "id", "attempts": "delivery_id"}
"""Table in parts → the column that its parts are ranges of."""
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.days', 0))"
"""Held by whoever makes parts or takes some away, until its transaction ends."""
_THERE = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
P = ParamSpec("P")
T = TypeVar("T")


def day_of(number: int) -> int:
    """The day, counted from 1970 (UTC), that an event or delivery id is of."""
    return millis_of(number) // DAY_MS


def days_around(now_ms: int) -> set[int]:
    """Today and tomorrow. `now_ms`: Unix milliseconds."""
    today = day_of(first_at(now_ms))
    return {today, today + 1}


def part_of(table: str, day: int) -> str:
    """The name of a table's part."""
    return f"{table}_{day}"


def range_of(day: int) -> tuple[int, int]:
    """The lowest id of a day, and that of the next one."""
    return first_at(day * DAY_MS), first_at((day + 1) * DAY_MS)


async def make(connection: Connection, days: Iterable[int]) -> None:
    """Make the parts of these days, as far as they are not there. A job of a transaction."""
    await connection.fetchval(LOCK)
    there = {row[0] for row in await connection.fetch(_THERE)}
    for day in sorted(set(days)):
        low, high = range_of(day)
        for table in TABLES:
            part = part_of(table, day)
            if part not in there:
                await connection.execute(
                    f"CREATE TABLE {part} (LIKE {table} INCLUDING ALL);"
                    f"ALTER TABLE {table} ATTACH PARTITION {part}"
                    f" FOR VALUES FROM ({low}) TO ({high})"
                )


class MissingPartError(StoreUnavailableError):
    """A part that this process knew of is gone."""


class Days:
    """Which parts are there, as far as this process knows: nobody is asked about each batch."""

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()

    async def need(self, connection: Connection, days: AbstractSet[int]) -> None:
        """Make those that may be missing, in the transaction that needs them."""
        missing = days - self._known
        if missing:
            await make(connection, missing)
            self._known |= days

    async def run(
        self,
        pool: Pool,
        job: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job that writes into parts.

        What was known may be wrong: retention has dropped a part, or the transaction that made it
        was rolled back. Then it is made again, once.
        """
        try:
            return await pool.run(_watched, job, *args, **kwargs)
        except MissingPartError:
            self._known = frozenset()
            return await pool.run(_watched, job, *args, **kwargs)


async def _watched(
    connection: Connection,
    job: Callable[Concatenate[Connection, P], Awaitable[T]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    try:
        return await job(connection, *args, **kwargs)
    except asyncpg.CheckViolationError as error:
        text = _("A table of the ledger cannot take what is new: {reason}. It is tried again.")
        raise MissingPartError(text.format(reason=str(error).partition("\n")[0])) from None
