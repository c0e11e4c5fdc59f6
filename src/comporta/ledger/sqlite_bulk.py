"""What people do to many deliveries of the SQLite ledger, and the record of it: plain functions.

What is meant is chosen by a reader, however long that takes; a write changes at most a step of
rows by their ids, and only those that still are what they were when they were chosen.
"""

from collections.abc import Callable, Iterable, Sequence

import apsw
import msgspec
from msgspec import json

from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import IdMaker
from comporta.domain.pace import Pace, due_at_ms
from comporta.domain.partitioning import bulk_lane
from comporta.embedded.rows import every, one
from comporta.ledger.port import (
    Bulk,
    DeliveryFilter,
    FleetChange,
    Matches,
    Operation,
    Step,
)
from comporta.ledger.sql import blocks
from comporta.ledger.sqlite_questions import DELIVERIES_FROM, conditions

SQL = blocks("sqlite")
_HAS_BODY = "EXISTS (SELECT 1 FROM bodies b WHERE b.event_id = d.event_id)"
_OPEN = "d.state IN ('pending', 'scheduled')"


class Chosen(msgspec.Struct, frozen=True, gc=False):
    """A delivery that a step is to change."""

    id: int
    event_id: int
    destination_id: str
    partition: int
    lane: int
    route_id: str
    accepted_at_ms: int


def matches(connection: apsw.Connection, what: Bulk, which: DeliveryFilter) -> Matches:
    """See the port."""
    where, values = _meant(what, which)
    body = "1" if what is Bulk.DISCARD else _HAS_BODY
    row = one(
        connection,
        f"SELECT count(*) FILTER (WHERE {body}), count(*), min(e.accepted_at_ms),"
        f" max(e.accepted_at_ms){DELIVERIES_FROM} WHERE {where}",
        values,
    )
    return Matches(row[0], row[1] - row[0], row[2] or 0, row[3] or 0)


def chosen(connection: apsw.Connection, what: Bulk, which: DeliveryFilter) -> list[Chosen]:
    """The deliveries of the next step, oldest first: `which.limit` after `which.after_id`."""
    where, values = _meant(what, which)
    if what is not Bulk.DISCARD:
        where = f"{where} AND {_HAS_BODY}"
    if which.after_id is not None:
        where, values = f"{where} AND d.id > ?", [*values, which.after_id]
    rows = every(
        connection,
        "SELECT d.id, d.event_id, d.destination_id, d.partition, d.lane, d.route_id,"
        f" e.accepted_at_ms{DELIVERIES_FROM} WHERE {where} ORDER BY d.id LIMIT ?",
        [*values, which.limit],
    )
    return [Chosen(*row) for row in rows]


def _meant(what: Bulk, which: DeliveryFilter) -> tuple[str, list[object]]:
    """The filter, within what this change may touch at all."""
    if what is Bulk.REDRIVE:
        return conditions(msgspec.structs.replace(which, state=DeliveryState.DEAD))
    if what is Bulk.DISCARD:
        where, values = conditions(which)
        return f"{where} AND ({_OPEN} OR d.state = 'dead')", values
    if which.event_id is None:
        which = msgspec.structs.replace(which, state=DeliveryState.DELIVERED)
    where, values = conditions(which)
    # What a replay brought is not replayed along with what it was made from.
    return (where if which.delivery_ids else f"{where} AND d.replay = 0"), values


def redrive(
    connection: apsw.Connection, rows: Sequence[Chosen], now_ms: int, operation_id: int
) -> Step:
    """See the port. Runs inside a transaction."""
    done = []
    for row in rows:
        lane = bulk_lane(row.lane)
        connection.execute(SQL["put_back"], (lane, row.id))
        if connection.changes():
            done.append((row.partition, row.destination_id, lane))
    return _step(connection, rows, done, now_ms, operation_id)


def discard(
    connection: apsw.Connection,
    rows: Sequence[Chosen],
    now_ms: int,
    reason: str,
    operation_id: int,
) -> Step:
    """See the port. Runs inside a transaction."""
    done = []
    for row in rows:
        connection.execute(SQL["give_up"], (now_ms, reason, row.id))
        if connection.changes():
            done.append((row.partition, row.destination_id, row.lane))
    return _step(connection, rows, done, now_ms, operation_id)


def replay(  # noqa: PLR0913, PLR0917  (see the port)
    connection: apsw.Connection,
    rows: Sequence[Chosen],
    now_ms: int,
    destination_id: str | None,
    pace: Pace | None,
    operation_id: int,
) -> Step:
    """See the port. Runs inside a transaction."""
    makers: dict[int, Callable[[int], int]] = {}
    done = []
    for index, row in enumerate(rows):
        if row.partition not in makers:
            place = one(connection, SQL["partition"], (row.partition,))
            makers[row.partition] = IdMaker(row.partition, place[2]).next
        number = makers[row.partition](now_ms)
        target, lane = destination_id or row.destination_id, bulk_lane(row.lane)
        due_ms = due_at_ms(pace, index, row.accepted_at_ms) if pace else 0
        state = DeliveryState.SCHEDULED if due_ms else DeliveryState.PENDING
        values = (row.route_id, target, row.partition, lane, state.value, due_ms)
        connection.execute(SQL["add_replay"], (number, *values, row.event_id))
        if connection.changes():
            connection.execute(SQL["keep_last_id"], (number, row.partition))
            done.append((row.partition, target, lane))
    return _step(connection, rows, done, now_ms, operation_id)


def _step(
    connection: apsw.Connection,
    rows: Sequence[Chosen],
    done: Sequence[tuple[int, str, int]],
    now_ms: int,
    operation_id: int,
) -> Step:
    """Tell the owners of what was changed, and count it."""
    _nudge(connection, dict.fromkeys(done), now_ms)
    if operation_id:
        connection.execute(SQL["count_on"], (len(done), operation_id))
    return Step(len(done), rows[-1].id if rows else 0)


def _nudge(connection: apsw.Connection, lanes: Iterable[tuple[int, str, int]], now_ms: int) -> None:
    connection.executemany(SQL["nudge"], [(*lane, now_ms) for lane in lanes])


def note(connection: apsw.Connection, operation: Operation) -> int:
    """See the port. Runs inside a transaction."""
    which = json.encode(operation.which).decode()
    values = (operation.at_ms, operation.who, operation.what, which, operation.count)
    return int(one(connection, SQL["note"], values)[0])


def operations(connection: apsw.Connection, before_id: int | None, limit: int) -> list[Operation]:
    """See the port."""
    rows = every(connection, SQL["operations"], (before_id, limit))
    return [
        Operation(at_ms, who, what, json.decode(which), count, number)
        for at_ms, who, what, which, count, number in rows
    ]


def fleet_changes(
    connection: apsw.Connection, before_version: int | None, limit: int
) -> list[FleetChange]:
    """See the port."""
    return [
        FleetChange(*row)
        for row in every(connection, SQL["fleet_changes"], (before_version, limit))
    ]
