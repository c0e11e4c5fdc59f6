"""Taking a batch over into the SQLite ledger: events, deliveries, and how far a partition is read.

One job of the group commit, on an open transaction. What is stored already must not make it dearer:
whatever is written goes to the end of its table, or to a small part of it that many events share.
"""

from collections.abc import Iterable, Mapping, Sequence

import apsw

from comporta.domain.ids import first_at, partition_of
from comporta.embedded.rows import every, one
from comporta.ledger.port import NewEvent, Recorded
from comporta.ledger.recording import KEYS_AN_EVENT, Batch, Rows, Seat, split
from comporta.ledger.repeats import KEYS_MAX, KnownKeys
from comporta.ledger.sql import blocks
from comporta.ledger.sqlite.dispatch import places_of

SQL = blocks("sqlite")


class Recorder:
    """Records batches, and remembers by which keys their events would be repeated.

    What it remembers belongs to a connection: with a new one it begins anew, for the file may be
    another, and another process may have owned the partitions meanwhile.

    Args:
        window_s: within which a repeated event is not delivered again, seconds; 0: never mind.
        keys_max: how many keys it remembers, however many the window has.
    """

    def __init__(self, window_s: float, keys_max: int = KEYS_MAX) -> None:
        self._window_s = window_s
        self._keys_max = keys_max
        self._known = KnownKeys(window_s, keys_max)
        self._connection: apsw.Connection | None = None

    def record(
        self,
        connection: apsw.Connection,
        tokens: Mapping[int, int],
        events: Sequence[NewEvent],
        now_ms: int,
    ) -> Recorded:
        """See the port."""
        places, fenced = places_of(connection, tokens)
        known = self._ready(connection, {p: tokens[p] for p in places}, now_ms)
        batch = Batch(places, events, now_ms, known)
        cursor = connection.cursor()
        rows = batch.take(_keys_of(cursor, batch.candidates), _waiting(cursor, batch.seats))
        _write(cursor, rows, now_ms)
        return batch.recorded(fenced)

    def _ready(
        self, connection: apsw.Connection, tokens: Mapping[int, int], now_ms: int
    ) -> KnownKeys:
        """What is known, with what earlier owners of the partitions have recorded."""
        if connection is not self._connection:
            self._known, self._connection = KnownKeys(self._window_s, self._keys_max), connection
        self._known.turn(now_ms)
        strangers = self._known.strangers(tokens)
        if strangers and self._window_s > 0:
            since_id = first_at(now_ms - self._known.window_ms)
            others = self._keys_max // KEYS_AN_EVENT - 1
            values = {"since_id": since_id, "others": others}
            for event_id, keys in connection.execute(SQL["known_keys"], values):
                if partition_of(event_id) in strangers:
                    for key in split(keys):
                        self._known.add(key, event_id)
        self._known.let_in(tokens)
        return self._known


def _keys_of(cursor: apsw.Cursor, events: Iterable[int]) -> dict[int, bytes]:
    rows = ((event_id, one(cursor, SQL["keys"], (event_id,))) for event_id in events)
    return {event_id: row[0] for event_id, row in rows if row}


def _waiting(cursor: apsw.Cursor, seats: Iterable[Seat]) -> dict[Seat, list[int]]:
    found = {}
    for key, conflate in seats:
        place = (key.partition, key.destination_id, key.lane, conflate)
        found[key, conflate] = [row[0] for row in every(cursor, SQL["conflated"], place)]
    return found


def _write(cursor: apsw.Cursor, rows: Rows, now_ms: int) -> None:
    superseded = ((now_ms, reason, number) for number, reason in rows.superseded)
    for name, values in (
        ("supersede", superseded),
        ("add_event", rows.events),
        ("add_body", rows.bodies),
        ("add_new_delivery", rows.deliveries),
        ("add_attempt", rows.errors),
        ("learn_account", rows.accounts),
        ("move_partition", rows.moves),
    ):
        cursor.executemany(SQL[name], values)
