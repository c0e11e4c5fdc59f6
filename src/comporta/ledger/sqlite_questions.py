"""What people ask of the SQLite ledger: plain functions on a connection that is only read."""

from typing import Any

import apsw
from msgspec import json

from comporta.domain.delivery import DeliveryState
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
from comporta.ledger.sql import blocks

SQL = blocks("sqlite")
_DELIVERY_COLUMNS = (
    "d.id, d.event_id, e.event_type, e.instance_id, e.subject, d.destination_id, d.state,"
    " d.attempts, d.due_at_ms, d.settled_at_ms, d.reason, d.replay"
)
DELIVERIES_FROM = " FROM deliveries d JOIN events e ON e.id = d.event_id"
Where = tuple[str, list[object]]


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
    return [_event_row(row) for row in rows]


def event(connection: apsw.Connection, event_id: int) -> EventDetail | None:
    """See the port."""
    row = one(connection, SQL["event"], (event_id,))
    if row is None:
        return None
    headers = json.decode(row[11], type=tuple[tuple[str, str], ...])
    return EventDetail(_event_row(row[:11]), headers, row[12])


def _event_row(row: tuple[Any, ...]) -> EventRow:
    values = list(row)
    values[7] = bool(values[7])
    return EventRow(*values)


def deliveries(connection: apsw.Connection, which: DeliveryFilter) -> list[DeliveryRow]:
    """See the port."""
    where, values = conditions(which)
    if which.before_id is not None:
        where, values = f"{where} AND d.id < ?", [*values, which.before_id]
    rows = every(
        connection,
        f"SELECT {_DELIVERY_COLUMNS}{DELIVERIES_FROM} WHERE {where} ORDER BY d.id DESC LIMIT ?",
        [*values, which.limit],
    )
    return [_delivery_row(row) for row in rows]


def _delivery_row(row: tuple[Any, ...]) -> DeliveryRow:
    values = list(row)
    values[6] = DeliveryState(str(values[6]))
    values[11] = bool(values[11])
    return DeliveryRow(*values)


def count(connection: apsw.Connection, which: DeliveryFilter) -> int:
    """See the port."""
    where, values = conditions(which)
    return int(one(connection, f"SELECT count(*){DELIVERIES_FROM} WHERE {where}", values)[0])


def conditions(which: DeliveryFilter) -> Where:
    """The filter as a condition on `DELIVERIES_FROM`, with its values; pages aside."""
    found: list[str] = ["1"]
    values: list[object] = []
    # The state stands in the text, so that SQLite can use the partial indexes.
    if which.state is not None:
        found.append(f"d.state = '{which.state.value}'")
    ids = which.delivery_ids
    for condition, value in (
        ("d.destination_id = ?", which.destination_id),
        ("e.instance_id = ?", which.instance_id),
        ("e.event_type = ?", which.event_type),
        ("d.route_id = ?", which.route_id),
        ("d.event_id = ?", which.event_id),
        ("d.id IN (SELECT value FROM json_each(?))", json.encode(ids).decode() if ids else None),
        ("d.id >= ?", None if which.since_ms is None else first_at(which.since_ms)),
        ("d.id < ?", None if which.until_ms is None else first_at(which.until_ms)),
        ("d.settled_at_ms > 0 AND d.settled_at_ms < ?", which.settled_until_ms),
        ("instr(lower(d.reason), lower(?)) > 0", which.reason),
    ):
        if value is not None:
            found.append(condition)
            values.append(value)
    return " AND ".join(found), values


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
