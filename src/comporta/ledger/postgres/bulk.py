"""What people do to many deliveries of the ledger in PostgreSQL, and the record of it.

What is meant is chosen by a transaction that only reads, however long that takes; another one
changes at most a step of rows by their ids, and only those that still are what they were.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import json
from msgspec.structs import astuple

from comporta.clients.postgresql import Connection
from comporta.domain.pace import Pace
from comporta.domain.partitioning import bulk_lane
from comporta.ledger.port import (
    Bulk,
    DeliveryFilter,
    FleetChange,
    LaneKey,
    Matches,
    Operation,
    Step,
)
from comporta.ledger.postgres.days import Days, day_of
from comporta.ledger.postgres.questions import WORDS, ask
from comporta.ledger.postgres.rows import bounds, columns, storable
from comporta.ledger.postgres.signals import nudge
from comporta.ledger.questions import Chosen, choosing, matches_of, matching
from comporta.ledger.sql import blocks
from comporta.ledger.steps import Replay, operation_row, partitions_of, replays, step_of

SQL = blocks("postgres_people")


async def matches(connection: Connection, what: Bulk, which: DeliveryFilter) -> Matches:
    """See the port."""
    return matches_of((await ask(connection, matching(WORDS, what, which)))[0])


async def chosen(connection: Connection, what: Bulk, which: DeliveryFilter) -> list[Chosen]:
    """The deliveries of the next step, oldest first: `which.limit` after `which.after_id`."""
    return [Chosen(*row) for row in await ask(connection, choosing(WORDS, what, which))]


async def redrive(
    connection: Connection, rows: Sequence[Chosen], now_ms: int, operation_id: int
) -> Step:
    """See the port."""
    ids, lanes = [row.id for row in rows], [bulk_lane(row.lane) for row in rows]
    done = await connection.fetch(SQL["put_back"], ids, lanes, *bounds(ids))
    return await _step(connection, rows, _keys(done), now_ms, operation_id)


async def discard(
    connection: Connection, rows: Sequence[Chosen], now_ms: int, reason: str, operation_id: int
) -> Step:
    """See the port."""
    ids = [row.id for row in rows]
    more = (*bounds(ids), now_ms, storable(reason))
    done = await connection.fetch(SQL["give_up"], ids, *more)
    return await _step(connection, rows, _keys(done), now_ms, operation_id)


async def replay(  # noqa: PLR0913, PLR0917  (see the port)
    connection: Connection,
    days: Days,
    rows: Sequence[Chosen],
    now_ms: int,
    destination_id: str | None,
    pace: Pace | None,
    operation_id: int,
) -> Step:
    """See the port."""
    # Like an owner that records: nobody else makes ids of these partitions meanwhile.
    found = await connection.fetch(SQL["last_ids"], partitions_of(rows))
    last_ids: dict[int, int] = {row[0]: row[1] for row in found}
    # And retention, which looks at deliveries when it has the bodies, waits for this one's.
    events = sorted({row.event_id for row in rows})
    held = {row[0] for row in await connection.fetch(SQL["hold_bodies"], events)}
    made = replays(rows, last_ids, now_ms, destination_id, pace)
    made = [one for one in made if one.event_id in held]
    await days.need(connection, {day_of(one.id) for one in made})
    await _add(connection, made)
    return await _step(connection, rows, [one.key for one in made], now_ms, operation_id)


async def _add(connection: Connection, made: Sequence[Replay]) -> None:
    await connection.execute(SQL["add_replays"], *columns([astuple(one) for one in made], 8))
    newest = {one.partition: one.id for one in made}
    await connection.execute(SQL["keep_last_ids"], list(newest), list(newest.values()))


def _keys(rows: Sequence[Sequence[Any]]) -> list[LaneKey]:
    return [LaneKey(*row) for row in rows]


async def _step(
    connection: Connection,
    rows: Sequence[Chosen],
    done: Sequence[LaneKey],
    now_ms: int,
    operation_id: int,
) -> Step:
    """Tell the owners of what was changed, and count it."""
    if operation_id:
        await connection.execute(SQL["count_on"], len(done), operation_id)
    await nudge(connection, list(dict.fromkeys(done)), now_ms)
    return step_of(rows, done)


async def note(connection: Connection, operation: Operation) -> int:
    """See the port."""
    which = json.encode(operation.which).decode()
    values = (operation.at_ms, storable(operation.who), operation.what, which, operation.count)
    return int(await connection.fetchval(SQL["note"], *values))


async def operations(connection: Connection, before_id: int | None, limit: int) -> list[Operation]:
    """See the port."""
    rows = await connection.fetch(SQL["operations"], before_id, limit)
    return [operation_row(row) for row in rows]


async def fleet_changes(
    connection: Connection, before_version: int | None, limit: int
) -> list[FleetChange]:
    """See the port."""
    rows = await connection.fetch(SQL["fleet_changes"], before_version, limit)
    return [FleetChange(*row) for row in rows]
