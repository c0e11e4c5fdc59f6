"""Taking a batch over into the PostgreSQL ledger: one transaction, one statement that writes.

The rows of the batch's partitions are locked first, so an owner that lost its lease without
noticing writes nothing, and no entry is taken twice.
"""

from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Any

from comporta.clients.postgresql import Connection, Pool
from comporta.clients.postgresql_words import UnsureError
from comporta.domain.ids import first_at
from comporta.ledger.port import NewEvent, Recorded
from comporta.ledger.postgres.days import Days, day_of, days_around
from comporta.ledger.postgres.dispatch import places_of
from comporta.ledger.postgres.owed import Owed, Written
from comporta.ledger.postgres.rows import bounds, columns
from comporta.ledger.recording import KEYS_AN_EVENT, Batch, Rows, Seat, split
from comporta.ledger.repeats import KEYS_MAX, KnownKeys
from comporta.ledger.sql import blocks

SQL = blocks("postgres")
KEYS_A_STEP = 5_000
"""Events whose keys are read at a time: the event loop has other work, too."""


class Recorder:
    """Records batches, and remembers by which keys their events would be repeated.

    Args:
        pool: for dispatch.
        days: the parts of the tables.
        window_s: within which a repeated event is not delivered again, seconds; 0: never mind.
        keys_max: how many keys it remembers, however many the window has.
    """

    def __init__(self, pool: Pool, days: Days, window_s: float, keys_max: int = KEYS_MAX) -> None:
        self._pool, self._days, self._keys_max = pool, days, keys_max
        self._known = KnownKeys(window_s, keys_max)
        self._owed = Owed()

    async def record(
        self, tokens: Mapping[int, int], events: Sequence[NewEvent], now_ms: int
    ) -> Recorded:
        """See the port."""
        self._known.turn(now_ms)
        await self._meet(tokens, now_ms)
        try:
            written = await self._days.run(self._pool, self._record, tokens, events, now_ms)
        except UnsureError as error:
            if isinstance(error.result, Written):
                self._owed.note(error.result)
            raise
        return self._owed.told(tokens, written.recorded)

    async def _record(
        self,
        connection: Connection,
        tokens: Mapping[int, int],
        events: Sequence[NewEvent],
        now_ms: int,
    ) -> Written:
        places = await places_of(connection, "places_to_move", tokens)
        self._owed.look(tokens, places.mine)
        self._known.let_in({p: tokens[p] for p in places.mine})
        batch = Batch(places.mine, events, now_ms, self._known)
        rows = batch.take(
            await _keys_of(connection, batch.candidates), await _waiting(connection, batch.seats)
        )
        if rows.moves:
            days = {day_of(last_id) for _offset, last_id, _partition in rows.moves}
            await self._days.need(connection, days | days_around(now_ms))
            await _write(connection, rows, now_ms)
        return Written(tokens, rows.moves, batch.recorded(places.fenced))

    async def _meet(self, tokens: Mapping[int, int], now_ms: int) -> None:
        """Learn what earlier owners of the partitions have recorded.

        Before the transaction that records: since the partition was claimed nobody else adds to it.
        """
        strangers = list(self._known.strangers(tokens))
        if not strangers or self._known.window_ms <= 0:
            return
        since_id, before_id = first_at(now_ms - self._known.window_ms), (1 << 63) - 1
        left = self._keys_max // KEYS_AN_EVENT - 1
        while left > 0:
            limit = min(left, KEYS_A_STEP)
            rows = await self._pool.run(_known_keys, since_id, before_id, strangers, limit)
            for event_id, keys in rows:
                for key in split(keys):
                    self._known.add(key, event_id)
            if len(rows) < limit:
                break
            left, before_id = left - limit, rows[-1][0]


async def _known_keys(
    connection: Connection, since_id: int, before_id: int, partitions: list[int], limit: int
) -> list[Sequence[Any]]:
    return await connection.fetch(SQL["known_keys"], since_id, before_id, partitions, limit)


async def _keys_of(connection: Connection, events: set[int]) -> dict[int, bytes]:
    if not events:
        return {}
    return dict(map(tuple, await connection.fetch(SQL["keys"], list(events))))


async def _waiting(connection: Connection, seats: set[Seat]) -> dict[Seat, list[int]]:
    if not seats:
        return {}
    order = list(seats)
    rows = [(key.partition, key.destination_id, key.lane, number) for key, number in order]
    found: dict[Seat, list[int]] = {}
    for place, delivery_id in await connection.fetch(SQL["conflated"], *columns(rows, 4)):
        found.setdefault(order[place - 1], []).append(delivery_id)
    return found


async def _write(connection: Connection, rows: Rows, now_ms: int) -> None:
    tables = (
        (rows.events, 12),
        (rows.bodies, 2),
        (rows.deliveries, 10),
        (rows.errors, 6),
        (rows.accounts, 2),
        (rows.superseded, 2),
        (rows.moves, 3),
    )
    values = [column for table in starmap(columns, tables) for column in table]
    superseded = bounds(number for number, _reason in rows.superseded)
    await connection.execute(SQL["record"], *values, now_ms, *superseded)
