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
from comporta.ledger.postgres_rows import storable
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


async def events(connection: Connection, which: EventFilter) -> list[EventRow]:
    """See the port."""
    values: list[object] = [
        which.instance_id,
        which.event_type,
        0 if which.since_ms is None else first_at(which.since_ms),
        _ABOVE_ALL if which.before_id is None else which.before_id,
        which.limit,
    ]
    name = "events"
    if which.conversation_id is not None:
        name = "events_of_subject"
        values.append(f"conversation:{which.conversation_id}")
    rows = await ask(connection, (SQL[name], values))
    return [event_row(row) for row in rows]


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
