"""Taking a batch over into the SQLite ledger: events, deliveries, and how far a partition is read.

One job of the group commit, on an open transaction. What is stored already must not make it dearer:
whatever is written goes to the end of its table, or to a small part of it that many events share.
"""

from collections.abc import Mapping, Sequence
from zlib import crc32

import apsw
import msgspec

from comporta.domain.classes import EventClass, class_of
from comporta.domain.delivery import Delivery, DeliveryState
from comporta.domain.ids import IdMaker, first_at, millis_of, partition_of, show
from comporta.embedded.rows import every, one
from comporta.ledger.port import LaneKey, NewEvent, Recorded, Superseded, Target
from comporta.ledger.repeats import KEYS_MAX, KnownKeys
from comporta.ledger.sql import blocks
from comporta.ledger.sqlite_dispatch import Place, places_of

SQL = blocks("sqlite")
_REASON_CHARS = 500
_RESPONSE_BYTES = 20_000
_KEY_BYTES = 16
_KEYS_AN_EVENT = 2


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
        known = self._ready(connection, {p: tokens[p] for p in tokens if p not in fenced}, now_ms)
        scribe = _Scribe(connection, places, now_ms, known)
        for event in events:
            partition = event.record.partition
            if partition not in fenced and event.offset > scribe.offsets[partition]:
                scribe.take(event)
        scribe.write()
        return Recorded(
            tuple(scribe.deliveries.values()), scribe.duplicates, tuple(scribe.superseded), fenced
        )

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
            others = self._keys_max // _KEYS_AN_EVENT - 1
            values = {"since_id": since_id, "others": others}
            for event_id, keys in connection.execute(SQL["known_keys"], values):
                if partition_of(event_id) in strangers:
                    for key in _split(keys):
                        self._known.add(key, event_id)
        self._known.let_in(tokens)
        return self._known


def _split(keys: bytes) -> list[bytes]:
    return [keys[at : at + _KEY_BYTES] for at in range(0, len(keys), _KEY_BYTES)]


class _Scribe:
    """Collects the rows of one batch, so that each table is written in one go."""

    def __init__(
        self,
        connection: apsw.Connection,
        places: Mapping[int, Place | None],
        now_ms: int,
        known: KnownKeys,
    ) -> None:
        self.deliveries: dict[int, Delivery] = {}
        self.superseded: list[Superseded] = []
        self.duplicates = 0
        self.offsets = {p: row[1] if row else 0 for p, row in places.items()}
        self._ids = {p: IdMaker(p, row[2] if row else 0) for p, row in places.items()}
        self._last_ids: dict[int, int] = {}
        self._connection = connection
        self._cursor = connection.cursor()
        self._now_ms = now_ms
        self._known = known
        self._keys: dict[int, bytes] = {}
        self._events: list[tuple[object, ...]] = []
        self._bodies: list[tuple[object, ...]] = []
        self._rows: dict[int, tuple[object, ...]] = {}
        self._newest: dict[tuple[LaneKey, int], tuple[Delivery, Target]] = {}
        self._errors: list[tuple[object, ...]] = []
        self._accounts: dict[str, int] = {}

    def take(self, event: NewEvent) -> None:
        record = event.record
        event_id = self._next_id(record.partition)
        self.offsets[record.partition] = event.offset
        if event.learns_account and event.account_id is not None:
            self._accounts[record.source_id] = event.account_id
        if _is_stored(event):
            duplicate_of = self._repeated(event, event_id)
            self._add_event(event, event_id, duplicate_of)
            if duplicate_of is not None:
                self.duplicates += 1
                return
        for target in event.targets:
            delivery = _delivery(event, target, event_id, self._next_id(record.partition))
            if target.error:
                self._add_failed(delivery, target)
                continue
            if target.event_class is not EventClass.EPHEMERAL:
                self._add_row(delivery, target)
            self.deliveries[delivery.id] = delivery

    def _add_event(self, event: NewEvent, event_id: int, duplicate_of: int | None) -> None:
        record = event.record
        headers = msgspec.json.encode(record.headers).decode()
        self._events.append(
            (
                event_id,
                record.accepted_at_ms,
                record.instance_id,
                record.source_id,
                record.event_type,
                event.account_id,
                record.subject,
                record.verified,
                headers,
                len(record.body),
                duplicate_of,
                self._keys.get(event_id, b""),
            )
        )
        self._bodies.append((event_id, record.body))

    def _add_row(self, delivery: Delivery, target: Target) -> None:
        conflate = 0
        if target.event_class is EventClass.CONFLATED:
            conflate = crc32(delivery.event_type.encode()) | 1
            self._supersede(delivery, target, conflate)
        self._rows[delivery.id] = _new_row(delivery, target, conflate=conflate)

    def _supersede(self, newer: Delivery, target: Target, conflate: int) -> None:
        """What waits and says less than the newer one comes to its end."""
        key = LaneKey(newer.partition, newer.destination_id, newer.lane)
        reason = f"superseded by {show('dlv', newer.id)}"
        if (key, conflate) in self._newest:  # of this batch: it is not in the table yet
            older, its_target = self._newest[key, conflate]
            self._rows[older.id] = _new_row(
                older,
                its_target,
                conflate=conflate,
                state=DeliveryState.DISCARDED,
                settled_at_ms=self._now_ms,
                reason=reason,
            )
            del self.deliveries[older.id]
        else:
            place = (key.partition, key.destination_id, key.lane, conflate)
            for (found_id,) in every(self._cursor, SQL["conflated"], place):
                self._cursor.execute(SQL["supersede"], (self._now_ms, reason, found_id))
                self.superseded.append(Superseded(key, found_id))
        self._newest[key, conflate] = newer, target

    def _add_failed(self, delivery: Delivery, target: Target) -> None:
        """The route could not be applied: nobody knows whether it was for this destination."""
        lines = target.error.strip().splitlines()
        reason = lines[-1][:_REASON_CHARS] if lines else ""
        self._rows[delivery.id] = _new_row(
            delivery, target, state=DeliveryState.DEAD, settled_at_ms=self._now_ms, reason=reason
        )
        text = target.error.encode()[-_RESPONSE_BYTES:]
        self._errors.append((self._now_ms, 0.0, None, reason, text, delivery.id))

    def write(self) -> None:
        if not self._last_ids:
            return
        self._cursor.executemany(SQL["add_event"], self._events)
        self._cursor.executemany(SQL["add_body"], self._bodies)
        self._cursor.executemany(SQL["add_new_delivery"], self._rows.values())
        self._cursor.executemany(SQL["add_attempt"], self._errors)
        self._cursor.executemany(SQL["learn_account"], list(self._accounts.items()))
        self._cursor.executemany(
            SQL["move_partition"],
            [(self.offsets[p], last_id, p) for p, last_id in self._last_ids.items()],
        )

    def _next_id(self, partition: int) -> int:
        number = self._ids[partition].next(self._now_ms)
        self._last_ids[partition] = number
        return number

    def _repeated(self, event: NewEvent, event_id: int) -> int | None:
        """The earlier event that this one repeats. Its keys are kept in any case."""
        if self._known.window_ms <= 0:
            return None
        original: int | None = None
        new: list[bytes] = []
        for key in event.keys:
            found = self._holder(key)
            if found is None:
                new.append(key)
            else:
                original = found
        for key in new:
            self._known.add(key, event_id)
        self._keys[event_id] = b"".join(new)
        return original

    def _holder(self, key: bytes) -> int | None:
        """The event of the last window that has this key."""
        for event_id in self._known.find(key):
            if self._now_ms - millis_of(event_id) <= self._known.window_ms and key in _split(
                self._keys_of(event_id)
            ):
                return event_id
        return None

    def _keys_of(self, event_id: int) -> bytes:
        keys = self._keys.get(event_id)
        if keys is None:  # of an earlier batch, if of any: one that failed is known as well
            row = one(self._cursor, SQL["keys"], (event_id,))
            keys = row[0] if row else b""
        return keys


def _is_stored(event: NewEvent) -> bool:
    """Whether anything of it is kept: not if it is worth something for a few seconds only.

    A dead letter needs its event, whatever the class: without it nobody could see or redrive it.
    """
    if not event.targets:
        return class_of(event.record.event_type, {}) is not EventClass.EPHEMERAL
    return any(
        target.error or target.event_class is not EventClass.EPHEMERAL for target in event.targets
    )


def _new_row(  # noqa: PLR0913  (columns)
    delivery: Delivery,
    target: Target,
    *,
    conflate: int = 0,
    state: DeliveryState = DeliveryState.PENDING,
    settled_at_ms: int = 0,
    reason: str = "",
) -> tuple[object, ...]:
    return (
        delivery.id,
        delivery.event_id,
        target.route_id,
        target.destination_id,
        delivery.partition,
        delivery.lane,
        state.value,
        settled_at_ms,
        reason,
        conflate,
    )


def _delivery(event: NewEvent, target: Target, event_id: int, delivery_id: int) -> Delivery:
    record = event.record
    return Delivery(
        id=delivery_id,
        event_id=event_id,
        destination_id=target.destination_id,
        partition=record.partition,
        lane=event.lane,
        attempts=0,
        due_at_ms=0,
        instance_id=record.instance_id,
        event_type=record.event_type,
        accepted_at_ms=record.accepted_at_ms,
        headers=record.headers,
        body=record.body,
        event_class=target.event_class,
    )
