"""What people ask of the SQLite ledger: plain functions on a connection that is only read."""

import apsw
from msgspec import json

from comporta.domain.ids import first_at, millis_of
from comporta.embedded.rows import every, one
from comporta.ledger.port import (
    AttemptRow,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
    LedgerTotals,
)
from comporta.ledger.questions import (
    Dialect,
    counting,
    delivery_row,
    event_detail,
    event_row,
    listing,
)
from comporta.ledger.sql import blocks

SQL = blocks("sqlite")
WORDS = Dialect(
    mark="?",
    among="d.id IN (SELECT value FROM json_each({}))",
    listed=lambda ids: json.encode(ids).decode(),
    contains="instr(lower(d.reason), lower({})) > 0",
)


def events(connection: apsw.Connection, which: EventFilter) -> list[EventRow]:
    """See the port."""
    conversation = which.conversation_id
    rows = every(
        connection,
        SQL["events" if conversation is None else "events_of_subject"],
        {
            "instance_id": which.instance_id,
            "event_type": which.event_type,
            "subject": None if conversation is None else f"conversation:{conversation}",
            "since_id": None if which.since_ms is None else first_at(which.since_ms),
            "before_id": which.before_id,
            "limit": which.limit,
        },
    )
    return [event_row(row) for row in rows]


def event(connection: apsw.Connection, event_id: int) -> EventDetail | None:
    """See the port."""
    row = one(connection, SQL["event"], (event_id,))
    return None if row is None else event_detail(row)


def deliveries(connection: apsw.Connection, which: DeliveryFilter) -> list[DeliveryRow]:
    """See the port."""
    return [delivery_row(row) for row in every(connection, *listing(WORDS, which))]


def count(connection: apsw.Connection, which: DeliveryFilter) -> int:
    """See the port."""
    return int(one(connection, *counting(WORDS, which))[0])


def attempts(connection: apsw.Connection, delivery_id: int) -> list[AttemptRow]:
    """See the port."""
    return [AttemptRow(*row) for row in every(connection, SQL["attempts"], (delivery_id,))]


def totals(connection: apsw.Connection) -> LedgerTotals:
    """See the port."""
    pending, scheduled, oldest = one(connection, SQL["totals"])
    dead = one(connection, SQL["dead_total"])[0]
    return LedgerTotals(pending, scheduled, dead, _recorded_at(oldest))


def _recorded_at(number: int | None) -> int | None:
    return None if number is None else millis_of(number)
