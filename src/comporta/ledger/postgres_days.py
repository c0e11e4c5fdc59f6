"""The parts of a day in PostgreSQL: made ahead, and by whoever needs one that is not there.

A part is made beside the tables and attached, which holds up neither readers nor writers.
"""

from collections.abc import Iterable

from comporta.clients.postgresql import Connection
from comporta.domain.ids import first_at, millis_of

DAY_MS = 86_400_000
TABLES = {"events": "id", "bodies": "event_id", "deliveries": "id", "attempts": "delivery_id"}
"""Table in parts → the column that its parts are ranges of."""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.days', 0))"
_THERE = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"


def day_of(number: int) -> int:
    """The day, counted from 1970 (UTC), that an event or delivery id is of."""
    return millis_of(number) // DAY_MS


def part_of(table: str, day: int) -> str:
    """The name of a table's part."""
    return f"{table}_{day}"


def range_of(day: int) -> tuple[int, int]:
    """The lowest id of a day, and that of the next one."""
    return first_at(day * DAY_MS), first_at((day + 1) * DAY_MS)


async def make(connection: Connection, days: Iterable[int]) -> None:
    """Make the parts of these days, as far as they are not there. A job of a transaction."""
    await connection.fetchval(_LOCK)
    there = {row[0] for row in await connection.fetch(_THERE)}
    for day in sorted(set(days)):
        low, high = range_of(day)
        for table in TABLES:
            part = part_of(table, day)
            if part in there:
                continue
            await connection.execute(
                f"CREATE TABLE {part} (LIKE {table} INCLUDING ALL);"
                f"ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({low}) TO ({high})"
            )
