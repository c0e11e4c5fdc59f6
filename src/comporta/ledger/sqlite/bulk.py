"""What people do to many deliveries of the SQLite ledger, and the record of it: plain functions.

What is meant is chosen by a reader, however long that takes; a write changes at most a step of
rows by their ids, and only those that still are what they were when they were chosen.
"""

from collections.abc import Sequence

import apsw
from msgspec import json
from msgspec.structs import astuple

from comporta.domain.pace import Pace
from comporta.domain.partitioning import bulk_lane
from comporta.embedded.rows import every, one
from comporta.ledger.port import (
    Bulk,
    DeliveryFilter,
    FleetChange,
    LaneKey,
    Matches,
    Operation,
    Step,
)
from comporta.ledger.questions import Chosen, choosing, matches_of, matching
from comporta.ledger.sql import blocks
from comporta.ledger.sqlite.questions import WORDS
from comporta.ledger.steps import operation_row, partitions_of, replays, step_of

SQL = blocks("sqlite")


def matches(connection: apsw.Connection, what: Bulk, which: DeliveryFilter) -> Matches:
    """See the port."""
    return matches_of(one(connection, *matching(WORDS, what, which)))


def chosen(connection: apsw.Connection, what: Bulk, which: DeliveryFilter) -> list[Chosen]:
    """The deliveries of the next step, oldest first: `which.limit` after `which.after_id`."""
    return [Chosen(*row) for row in every(connection, *choosing(WORDS, what, which))]


def redrive(
    connection: apsw.Connection, rows: Sequence[Chosen], now_ms: int, operation_id: int
) -> Step:
    """See the port. Runs inside a transaction."""
    done = []
    for row in rows:
        lane = bulk_lane(row.lane)
        connection.execute(SQL["put_back"], (lane, row.id))
        if connection.changes():
            done.append(LaneKey(row.partition, row.destination_id, lane))
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
            done.append(LaneKey(row.partition, row.destination_id, row.lane))
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
    last_ids = {p: one(connection, SQL["partition"], (p,))[2] for p in partitions_of(rows)}
    done = []
    for new in replays(rows, last_ids, now_ms, destination_id, pace):
        place = (new.destination_id, new.partition, new.lane)
        values = (new.id, new.route_id, *place, new.state, new.due_at_ms, new.event_id)
        connection.execute(SQL["add_replay"], values)
        if connection.changes():
            connection.execute(SQL["keep_last_id"], (new.id, new.partition))
            done.append(new.key)
    return _step(connection, rows, done, now_ms, operation_id)


def _step(
    connection: apsw.Connection,
    rows: Sequence[Chosen],
    done: Sequence[LaneKey],
    now_ms: int,
    operation_id: int,
) -> Step:
    """Tell the owners of what was changed, and count it."""
    nudges = [(*astuple(key), now_ms) for key in dict.fromkeys(done)]
    connection.executemany(SQL["nudge"], nudges)
    if operation_id:
        connection.execute(SQL["count_on"], (len(done), operation_id))
    return step_of(rows, done)


def note(connection: apsw.Connection, operation: Operation) -> int:
    """See the port. Runs inside a transaction."""
    which = json.encode(operation.which).decode()
    values = (operation.at_ms, operation.who, operation.what, which, operation.count)
    return int(one(connection, SQL["note"], values)[0])


def operations(connection: apsw.Connection, before_id: int | None, limit: int) -> list[Operation]:
    """See the port."""
    return [operation_row(row) for row in every(connection, SQL["operations"], (before_id, limit))]


def fleet_changes(
    connection: apsw.Connection, before_version: int | None, limit: int
) -> list[FleetChange]:
    """See the port."""
    return [
        FleetChange(*row)
        for row in every(connection, SQL["fleet_changes"], (before_version, limit))
    ]
