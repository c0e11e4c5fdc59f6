"""What becomes of a batch that is taken over from the log: pure, and the same for every ledger.

A ledger asks `Batch` what it has to look up, looks it up, and writes the rows that it is given in
one transaction. Nothing here does I/O.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import msgspec

from comporta.domain.classes import EventClass, class_of
from comporta.domain.delivery import Delivery, DeliveryState
from comporta.domain.ids import IdMaker, millis_of, show
from comporta.ledger.port import LaneKey, NewEvent, Recorded, Superseded, Target
from comporta.ledger.repeats import KnownKeys

KEY_BYTES = 16
KEYS_AN_EVENT = 2
_REASON_CHARS = 500
_RESPONSE_BYTES = 20_000
Row = tuple[object, ...]
Seat = tuple[LaneKey, int]
"""Where conflated deliveries give way to one another: a lane, and a number for the event's type."""


class Place(NamedTuple):
    """What the ledger has of a partition."""

    token: int
    """The fencing token of its owner."""
    offset: int
    """Of the last entry taken over."""
    last_id: int
    """The highest id made."""


class Rows(msgspec.Struct, frozen=True):
    """What a batch writes. The order of columns is that of the statements in `queries`."""

    events: list[Row]
    bodies: list[Row]
    deliveries: list[Row]
    errors: list[Row]
    """Attempts that failed before they began: the route could not be applied."""
    accounts: list[tuple[str, int]]
    superseded: list[tuple[int, str]]
    """Deliveries that waited, and the reason why they do so no longer."""
    moves: list[tuple[int, int, int]]
    """Offset and last id from now on, and the partition."""


def split(keys: bytes) -> list[bytes]:
    """The keys that stand in a row, one after the other."""
    return [keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)]


class Batch:
    """Decides what becomes of the events of one batch.

    First `candidates` and `seats` say what has to be looked up; then `take` makes the rows.

    Args:
        places: the partitions that may be written, as they are before this batch.
        events: in log order within each partition. What `places` does not name, or what the
            ledger has already, is passed over.
        now_ms: Unix milliseconds.
        known: names candidates for repeats; it learns the keys of this batch.
    """

    def __init__(
        self,
        places: Mapping[int, Place],
        events: Sequence[NewEvent],
        now_ms: int,
        known: KnownKeys,
    ) -> None:
        self._now_ms, self._known = now_ms, known
        self._offsets = {p: place.offset for p, place in places.items()}
        self._ids = {p: IdMaker(p, place.last_id) for p, place in places.items()}
        self._last_ids: dict[int, int] = {}
        self._given = [e for e in events if e.record.partition in places]
        self._found = self._find_candidates()
        self._stored: Mapping[int, bytes] = {}
        self._waiting: Mapping[Seat, Sequence[int]] = {}
        self._holders: dict[bytes, int] = {}
        self._newest: dict[Seat, tuple[Delivery, Target]] = {}
        self._deliveries: dict[int, Delivery] = {}
        self._superseded: list[Superseded] = []
        self._repeats: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()
        self._events: list[Row] = []
        self._bodies: list[Row] = []
        self._rows: dict[int, Row] = {}
        self._errors: list[Row] = []
        self._accounts: dict[str, int] = {}
        self._reasons: list[tuple[int, str]] = []

    def _find_candidates(self) -> dict[bytes, list[int]]:
        """Key → the events of earlier batches that may have it."""
        known, found = self._known, {}
        if known.window_ms > 0:
            for event in self._given:
                for key in event.keys:
                    ids = known.find(key)
                    if ids:
                        found[key] = ids
        return found

    @property
    def candidates(self) -> set[int]:
        """Events whose keys have to be looked up."""
        return {event_id for ids in self._found.values() for event_id in ids}

    @property
    def seats(self) -> set[Seat]:
        """Where the deliveries that wait have to be looked up."""
        return {
            _seat(event, target)
            for event in self._given
            for target in event.targets
            if target.event_class is EventClass.CONFLATED and not target.error
        }

    def take(self, stored: Mapping[int, bytes], waiting: Mapping[Seat, Sequence[int]]) -> Rows:
        """Make the rows.

        Args:
            stored: candidate → its keys, as the ledger has them.
            waiting: seat → its open deliveries.
        """
        self._stored, self._waiting = stored, waiting
        for event in self._given:
            if event.offset > self._offsets[event.record.partition]:
                self._take(event)
        return Rows(
            self._events,
            self._bodies,
            list(self._rows.values()),
            self._errors,
            list(self._accounts.items()),
            self._reasons,
            [(self._offsets[p], last_id, p) for p, last_id in self._last_ids.items()],
        )

    def recorded(self, fenced: frozenset[int]) -> Recorded:
        """What is to be told of it once it is stored."""
        deliveries, superseded = tuple(self._deliveries.values()), tuple(self._superseded)
        return Recorded(deliveries, self._repeats, superseded, fenced, self._dead)

    def _take(self, event: NewEvent) -> None:
        record = event.record
        event_id = self._next_id(record.partition)
        self._offsets[record.partition] = event.offset
        if event.learns_account and event.account_id is not None:
            self._accounts[record.source_id] = event.account_id
        if _is_stored(event):
            original, keys = self._repeated(event, event_id)
            self._events.append(_event_row(event, event_id, original, keys))
            self._bodies.append((event_id, record.body))
            if original is not None:
                self._repeats[record.instance_id] += 1
                return
        for target in event.targets:
            delivery = _delivery(event, target, event_id, self._next_id(record.partition))
            if target.error:
                self._add_failed(delivery, target)
                continue
            if target.event_class is not EventClass.EPHEMERAL:
                self._add_row(event, delivery, target)
            self._deliveries[delivery.id] = delivery

    def _next_id(self, partition: int) -> int:
        number = self._ids[partition].next(self._now_ms)
        self._last_ids[partition] = number
        return number

    def _add_row(self, event: NewEvent, delivery: Delivery, target: Target) -> None:
        conflate = 0
        if target.event_class is EventClass.CONFLATED:
            seat = _seat(event, target)
            conflate = seat[1]
            self._supersede(seat, delivery, target)
        self._rows[delivery.id] = _new_row(delivery, target, conflate=conflate)

    def _supersede(self, seat: Seat, newer: Delivery, target: Target) -> None:
        """What waits and says less than the newer one comes to its end."""
        reason = f"superseded by {show('dlv', newer.id)}"
        if seat in self._newest:  # of this batch: it is not in the table yet
            older, its_target = self._newest[seat]
            self._rows[older.id] = _new_row(
                older,
                its_target,
                conflate=seat[1],
                state=DeliveryState.DISCARDED,
                settled_at_ms=self._now_ms,
                reason=reason,
            )
            del self._deliveries[older.id]
        else:
            for found_id in self._waiting.get(seat, ()):
                self._reasons.append((found_id, reason))
                self._superseded.append(Superseded(seat[0], found_id))
        self._newest[seat] = newer, target

    def _add_failed(self, delivery: Delivery, target: Target) -> None:
        """The route could not be applied: nobody knows whether it was for this destination."""
        lines = target.error.strip().splitlines()
        reason = lines[-1][:_REASON_CHARS] if lines else ""
        self._rows[delivery.id] = _new_row(
            delivery, target, state=DeliveryState.DEAD, settled_at_ms=self._now_ms, reason=reason
        )
        text = target.error.encode()[-_RESPONSE_BYTES:]
        self._errors.append((self._now_ms, 0.0, None, reason, text, delivery.id))
        self._dead[delivery.destination_id] += 1

    def _repeated(self, event: NewEvent, event_id: int) -> tuple[int | None, bytes]:
        """The earlier event that this one repeats, and the keys that are new with this one."""
        if self._known.window_ms <= 0:
            return None, b""
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
            self._holders[key] = event_id
        return original, b"".join(new)

    def _holder(self, key: bytes) -> int | None:
        """The event of the last window that has this key."""
        if key in self._holders:
            return self._holders[key]
        for event_id in self._found.get(key, ()):
            if self._now_ms - millis_of(event_id) <= self._known.window_ms and key in split(
                self._stored.get(event_id, b"")  # one that was not stored is known as well
            ):
                return event_id
        return None


def _seat(event: NewEvent, target: Target) -> Seat:
    key = LaneKey(event.record.partition, target.destination_id, event.lane)
    return key, crc32(event.record.event_type.encode()) | 1


def _is_stored(event: NewEvent) -> bool:
    """Whether anything of it is kept: not if it is worth something for a few seconds only.

    A dead letter needs its event, whatever the class: without it nobody could see or redrive it.
    """
    if not event.targets:
        return class_of(event.record.event_type, {}) is not EventClass.EPHEMERAL
    return any(
        target.error or target.event_class is not EventClass.EPHEMERAL for target in event.targets
    )


def _event_row(event: NewEvent, event_id: int, original: int | None, keys: bytes) -> Row:
    record = event.record
    return (
        event_id,
        record.accepted_at_ms,
        record.instance_id,
        record.source_id,
        record.event_type,
        event.account_id,
        record.subject,
        record.verified,
        msgspec.json.encode(record.headers).decode(),
        len(record.body),
        original,
        keys,
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
