"""What people ask of the SQLite ledger, and what they put back: plain functions on a connection."""

from collections.abc import Callable
from typing import Any

import apsw
import msgspec

from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import IdMaker, first_at, millis_of
from comporta.embedded.rows import every, one
from comporta.ledger.port import (
    AttemptRow,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
    LedgerTotals,
    Step,
)
from comporta.ledger.sql import blocks

SQL = blocks("sqlite")
_DELIVERY_COLUMNS = (
    "d.id, d.event_id, e.event_type, e.instance_id, e.subject, d.destination_id, d.state,"
    " d.attempts, d.due_at_ms, d.settled_at_ms, d.reason, d.replay"
)
_DELIVERIES_FROM = " FROM deliveries d JOIN events e ON e.id = d.event_id"
Where = tuple[str, list[object]]
Row = tuple[int, int, str, int, int, str]
"""id, event_id, destination_id, partition, lane, route_id."""


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
    headers = msgspec.json.decode(row[11], type=tuple[tuple[str, str], ...])
    return EventDetail(_event_row(row[:11]), headers, row[12])


def _event_row(row: tuple[Any, ...]) -> EventRow:
    values = list(row)
    values[7] = bool(values[7])
    return EventRow(*values)


def deliveries(connection: apsw.Connection, which: DeliveryFilter) -> list[DeliveryRow]:
    """See the port."""
    where, values = _where(which)
    if which.before_id is not None:
        where, values = f"{where} AND d.id < ?", [*values, which.before_id]
    rows = every(
        connection,
        f"SELECT {_DELIVERY_COLUMNS}{_DELIVERIES_FROM} WHERE {where} ORDER BY d.id DESC LIMIT ?",
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
    where, values = _where(which)
    return int(one(connection, f"SELECT count(*){_DELIVERIES_FROM} WHERE {where}", values)[0])


def _where(which: DeliveryFilter) -> Where:
    conditions: list[str] = ["1"]
    values: list[object] = []
    # The state stands in the text, so that SQLite can use the partial indexes.
    if which.state is not None:
        conditions.append(f"d.state = '{which.state.value}'")
    for column, value in (
        ("d.destination_id = ?", which.destination_id),
        ("e.instance_id = ?", which.instance_id),
        ("d.event_id = ?", which.event_id),
        ("d.id = ?", which.delivery_id),
        ("d.id >= ?", None if which.since_ms is None else first_at(which.since_ms)),
    ):
        if value is not None:
            conditions.append(column)
            values.append(value)
    return " AND ".join(conditions), values


def attempts(connection: apsw.Connection, delivery_id: int) -> list[AttemptRow]:
    """See the port."""
    return [AttemptRow(*row) for row in every(connection, SQL["attempts"], (delivery_id,))]


def redrive(connection: apsw.Connection, which: DeliveryFilter, now_ms: int) -> Step:
    """See the port. Runs inside a transaction."""
    rows = _chosen(connection, msgspec.structs.replace(which, state=DeliveryState.DEAD))
    for row in rows:
        connection.execute(SQL["put_back"], (0, row[0]))
        connection.execute(SQL["nudge"], (row[3], row[2], row[4], now_ms))
    return _step(rows)


def replay(
    connection: apsw.Connection, which: DeliveryFilter, now_ms: int, destination_id: str | None
) -> Step:
    """See the port. Runs inside a transaction."""
    if which.event_id is None:
        which = msgspec.structs.replace(which, state=DeliveryState.DELIVERED)
    # What a replay brought is not replayed along with what it was made from.
    rows = _chosen(connection, which, " AND d.replay = 0" if which.delivery_id is None else "")
    makers: dict[int, Callable[[int], int]] = {}
    for _id, event_id, old_destination_id, partition, lane, route_id in rows:
        if partition not in makers:
            place = one(connection, SQL["partition"], (partition,))
            makers[partition] = IdMaker(partition, place[2]).next
        target = destination_id or old_destination_id
        number = makers[partition](now_ms)
        connection.execute(
            SQL["add_delivery"], (number, event_id, route_id, target, partition, lane, True)
        )
        connection.execute(SQL["keep_last_id"], (number, partition))
        connection.execute(SQL["nudge"], (partition, target, lane, now_ms))
    return _step(rows)


def _step(rows: list[Row]) -> Step:
    return Step(len(rows), rows[-1][0] if rows else 0)


def _chosen(connection: apsw.Connection, which: DeliveryFilter, also: str = "") -> list[Row]:
    """The matching deliveries, oldest first, at most `which.limit` after `which.after_id`."""
    where, values = _where(which)
    if which.after_id is not None:
        where, values = f"{where} AND d.id > ?", [*values, which.after_id]
    return every(
        connection,
        "SELECT d.id, d.event_id, d.destination_id, d.partition, d.lane, d.route_id"
        f"{_DELIVERIES_FROM} WHERE {where}{also} ORDER BY d.id LIMIT ?",
        [*values, which.limit],
    )


def totals(connection: apsw.Connection) -> LedgerTotals:
    """See the port."""
    pending, scheduled, oldest = one(connection, SQL["totals"])
    dead = one(connection, SQL["dead_total"])[0]
    return LedgerTotals(pending, scheduled, dead, _recorded_at(oldest))


def _recorded_at(number: int | None) -> int | None:
    return None if number is None else millis_of(number)


def prune(connection: apsw.Connection, before_ms: int, events_max: int) -> int:
    """See the port. Runs inside a transaction."""
    old = every(connection, SQL["old_events"], (first_at(before_ms), events_max))
    for name in ("forget_attempts", "forget_deliveries", "forget_body", "forget_event"):
        connection.executemany(SQL[name], old)
    connection.execute(SQL["forget_nudges"], (before_ms,))
    return len(old)
