"""Taking a batch over into the PostgreSQL ledger: one transaction, one statement that writes.

The rows of the batch's partitions are locked first, so an owner that lost its lease without
noticing writes nothing, and no entry is taken twice.
"""

from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Any, NamedTuple

from comporta.clients.postgresql import Connection, Pool
from comporta.clients.postgresql_words import UnsureError
from comporta.domain.delivery import Delivery
from comporta.domain.ids import first_at
from comporta.ledger.port import NewEvent, Recorded, Superseded
from comporta.ledger.postgres_days import Days, day_of, days_around
from comporta.ledger.postgres_dispatch import places_of
from comporta.ledger.postgres_fate import was_committed
from comporta.ledger.postgres_rows import bounds, columns
from comporta.ledger.recording import KEYS_AN_EVENT, Batch, Rows, Seat, split
from comporta.ledger.repeats import KEYS_MAX, KnownKeys
from comporta.ledger.sql import blocks

SQL = blocks("postgres")
KEYS_A_STEP = 5_000
"""Events whose keys are read at a time: the event loop has other work, too."""


class _Written(NamedTuple):
    """What a transaction that may have been committed was about."""

    number: str
    tokens: Mapping[int, int]
    recorded: Recorded


class _Owed(NamedTuple):
    """What is stored, and nobody was told of, of one partition."""

    token: int
    deliveries: list[Delivery]
    superseded: list[Superseded]


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
        self._unsure: _Written | None = None
        self._owed: dict[int, _Owed] = {}

    async def record(
        self, tokens: Mapping[int, int], events: Sequence[NewEvent], now_ms: int
    ) -> Recorded:
        """See the port."""
        await self._learn_fate()
        self._known.turn(now_ms)
        await self._meet(tokens, now_ms)
        try:
            written = await self._days.run(self._pool, self._record, tokens, events, now_ms)
        except UnsureError as error:
            if isinstance(error.result, _Written):
                self._unsure = error.result
            raise
        return self._with_owed(tokens, written.recorded)

    async def _record(
        self,
        connection: Connection,
        tokens: Mapping[int, int],
        events: Sequence[NewEvent],
        now_ms: int,
    ) -> _Written:
        places = await places_of(connection, "places_to_move", tokens)
        self._known.let_in({p: tokens[p] for p in places.mine})
        batch = Batch(places.mine, events, now_ms, self._known)
        rows = batch.take(
            await _keys_of(connection, batch.candidates), await _waiting(connection, batch.seats)
        )
        if rows.moves:
            days = {day_of(last_id) for _offset, last_id, _partition in rows.moves}
            await self._days.need(connection, days | days_around(now_ms))
            await _write(connection, rows, now_ms)
        return _Written(places.number, tokens, batch.recorded(places.fenced))

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

    async def _learn_fate(self) -> None:
        """Before anything new: is the batch stored whose commit broke off?"""
        if self._unsure is not None:
            if await was_committed(self._pool, self._unsure.number):
                self._owe(self._unsure)
            self._unsure = None

    def _owe(self, written: _Written) -> None:
        for delivery in written.recorded.deliveries:
            self._owed_of(written.tokens, delivery.partition).deliveries.append(delivery)
        for one in written.recorded.superseded:
            self._owed_of(written.tokens, one.key.partition).superseded.append(one)

    def _owed_of(self, tokens: Mapping[int, int], partition: int) -> _Owed:
        owed = self._owed.get(partition)
        if owed is None or owed.token != tokens[partition]:
            owed = self._owed[partition] = _Owed(tokens[partition], [], [])
        return owed

    def _with_owed(self, tokens: Mapping[int, int], recorded: Recorded) -> Recorded:
        """What else is stored, and to be told of. A later owner learns of it by its claim."""
        found = [(p, self._owed.pop(p)) for p in tokens if p in self._owed]
        mine = [one for p, one in found if one.token == tokens[p] and p not in recorded.fenced]
        if not mine:
            return recorded
        return Recorded(
            (*(delivery for one in mine for delivery in one.deliveries), *recorded.deliveries),
            recorded.duplicates,
            (*(old for one in mine for old in one.superseded), *recorded.superseded),
            recorded.fenced,
        )


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
