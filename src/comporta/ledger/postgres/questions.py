"""What people ask of the ledger in PostgreSQL: jobs of a transaction that only reads."""

from collections.abc import Sequence
from typing import Any

from comporta.clients.postgresql import Connection
from comporta.domain.ids import first_at, millis_of
from comporta.ledger.port import (
    AttemptRow,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
    LedgerTotals,
)
from comporta.ledger.postgres.days import day_of, range_of
from comporta.ledger.postgres.rows import storable
from comporta.ledger.questions import (
    Dialect,
    Query,
    counting,
    delivery_row,
    event_detail,
    event_row,
    listing,
)
from comporta.ledger.sql import blocks

SQL = blocks("postgres_people")
WORDS = Dialect(
    mark="$",
    among="d.id = ANY({}::bigint[])",
    listed=list,
    contains="strpos(lower(d.reason), lower({}::text)) > 0",
)
_ABOVE_ALL = 2**63 - 1
_SUBJECTS_BITS = 42
"""Of an id: so long are the parts of the index of subjects."""


async def events(connection: Connection, which: EventFilter) -> list[EventRow]:
    """See the port."""
    low = 0 if which.since_ms is None else first_at(which.since_ms)
    high = _ABOVE_ALL if which.before_id is None else which.before_id
    if which.conversation_id is not None:
        return await _of_conversation(connection, which, low, high)
    values = [which.instance_id, which.event_type, low, high, which.limit]
    return [event_row(row) for row in await ask(connection, (SQL["events"], values))]


async def _of_conversation(
    connection: Connection, which: EventFilter, low: int, high: int
) -> list[EventRow]:
    """Day by day, newest first: in a day they are found by the index, and most are of few days."""
    first, last = (await connection.fetch(SQL["span_of_events"]))[0]
    if first is None:
        return []
    low, high = max(low, first), min(high, last + 1)
    found: list[EventRow] = []
    day = day_of(high - 1)
    while len(found) < which.limit and day >= day_of(low):
        start, end = range_of(day)
        start, end = max(start, low), min(end, high)
        parts = list(range(start >> _SUBJECTS_BITS, (end - 1 >> _SUBJECTS_BITS) + 1))
        page = [start, end, which.limit - len(found)]
        values = [which.instance_id, which.event_type, *page, parts, _subject_of(which)]
        rows = await ask(connection, (SQL["events_of_subject"], values))
        found += [event_row(row) for row in rows]
        day -= 1
    return found


def _subject_of(which: EventFilter) -> str:
    return f"conversation:{which.conversation_id}"


async def event(connection: Connection, event_id: int) -> EventDetail | None:
    """See the port."""
    row = await connection.fetchrow(SQL["event"], event_id)
    return None if row is None else event_detail(tuple(row))


async def deliveries(connection: Connection, which: DeliveryFilter) -> list[DeliveryRow]:
    """See the port."""
    rows = await ask(connection, listing(WORDS, which))
    return [delivery_row(row) for row in rows]


async def count(connection: Connection, which: DeliveryFilter) -> int:
    """See the port."""
    return int((await ask(connection, counting(WORDS, which)))[0][0])


async def ask(connection: Connection, query: Query) -> list[Sequence[Any]]:
    """All rows. A text that cannot be stored is asked for as it would have been stored."""
    sql, values = query
    asked = [storable(value) if isinstance(value, str) else value for value in values]
    return await connection.fetch(sql, *asked)


async def attempts(connection: Connection, delivery_id: int) -> list[AttemptRow]:
    """See the port."""
    return [AttemptRow(*row) for row in await connection.fetch(SQL["attempts"], delivery_id)]


async def totals(connection: Connection) -> LedgerTotals:
    """See the port."""
    pending, scheduled, oldest, dead = (await connection.fetch(SQL["totals"]))[0]
    return LedgerTotals(pending, scheduled, dead, None if oldest is None else millis_of(oldest))
