"""What dispatch writes into the SQLite ledger: plain functions on an open transaction.

Each is one job of the group commit. A partition whose token is not the caller's is passed over and
named in the answer: its new owner has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import apsw
import msgspec

from comporta.domain.classes import EventClass, class_of
from comporta.domain.dedupe import DEFAULT_WINDOW_S
from comporta.domain.delivery import Delivery, DeliveryState, Outcome
from comporta.domain.ids import IdMaker, millis_of, show
from comporta.embedded.rows import every, one
from comporta.errors import FencedError
from comporta.i18n import _
from comporta.ledger.port import (
    Claim,
    LaneKey,
    NewEvent,
    OpenLane,
    Recorded,
    Superseded,
    Target,
)
from comporta.ledger.sql import blocks

SQL = blocks("sqlite")
_ENDED = (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DISCARDED)
_REASON_CHARS = 500
_RESPONSE_BYTES = 20_000
SEEN_A_STEP = 64
"""Old dedupe keys that are forgotten with each batch: more than a batch adds on average."""


def claim(connection: apsw.Connection, partition: int, token: int) -> Claim:
    """See the port."""
    row = one(connection, SQL["partition"], (partition,))
    if row is not None and row[0] > token:
        raise FencedError(
            _("Partition {partition} belongs to another worker now.").format(partition=partition),
            row[0],
        )
    connection.execute(SQL["claim_partition"], (partition, token))
    lanes = tuple(
        OpenLane(LaneKey(partition, destination_id, lane), due_at_ms, instance_id or "")
        for destination_id, lane, _head, due_at_ms, instance_id in every(
            connection, SQL["open_lanes"], (partition,)
        )
    )
    return Claim(row[1] if row else 0, lanes)


def record(
    connection: apsw.Connection,
    tokens: Mapping[int, int],
    events: Sequence[NewEvent],
    now_ms: int,
    window_s: float = DEFAULT_WINDOW_S,
) -> Recorded:
    """See the port."""
    places = {p: one(connection, SQL["partition"], (p,)) for p in tokens}
    fenced = frozenset(p for p, row in places.items() if row is None or row[0] != tokens[p])
    scribe = _Scribe(connection, places, now_ms, window_s)
    for event in events:
        partition = event.record.partition
        if partition not in fenced and event.offset > scribe.offsets[partition]:
            scribe.take(event)
    scribe.write()
    return Recorded(
        tuple(scribe.deliveries.values()), scribe.duplicates, tuple(scribe.superseded), fenced
    )


class _Scribe:
    """Collects the rows of one batch, so that each table is written in one go."""

    def __init__(
        self,
        connection: apsw.Connection,
        places: Mapping[int, tuple[int, int, int] | None],
        now_ms: int,
        window_s: float,
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
        self._window_s = window_s
        self._bucket = int(now_ms / 1000 / max(window_s, 1.0))
        self._events: list[tuple[object, ...]] = []
        self._bodies: list[tuple[object, ...]] = []
        self._rows: dict[int, tuple[object, ...]] = {}
        self._newest: dict[tuple[LaneKey, int], int] = {}
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
            )
        )
        self._bodies.append((event_id, record.body))

    def _add_row(self, delivery: Delivery, target: Target) -> None:
        conflate = 0
        if target.event_class is EventClass.CONFLATED:
            conflate = crc32(delivery.event_type.encode()) | 1
            self._supersede(delivery, conflate)
        self._rows[delivery.id] = _new_row(delivery, target, conflate=conflate)

    def _supersede(self, newer: Delivery, conflate: int) -> None:
        """What waits and says less than the newer one comes to its end."""
        key = LaneKey(newer.partition, newer.destination_id, newer.lane)
        reason = f"superseded by {show('dlv', newer.id)}"
        older_id = self._newest.get((key, conflate))
        if older_id is not None:  # of this batch: it is not in the table yet
            row = list(self._rows[older_id])
            row[6:9] = (DeliveryState.DISCARDED.value, self._now_ms, reason)
            self._rows[older_id] = tuple(row)
            del self.deliveries[older_id]
        else:
            place = (key.partition, key.destination_id, key.lane, conflate)
            for (found_id,) in every(self._cursor, SQL["conflated"], place):
                self._cursor.execute(SQL["supersede"], (self._now_ms, reason, found_id))
                self.superseded.append(Superseded(key, found_id))
        self._newest[key, conflate] = newer.id

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
        self._cursor.execute(SQL["forget_seen"], (self._bucket - 1, SEEN_A_STEP))

    def _next_id(self, partition: int) -> int:
        number = self._ids[partition].next(self._now_ms)
        self._last_ids[partition] = number
        return number

    def _repeated(self, event: NewEvent, event_id: int) -> int | None:
        """The earlier event that this one repeats. Its keys are kept in any case."""
        record = event.record
        original: int | None = None
        # Keys are random, and each would touch a page of its own; so they lie together by what
        # the event is about, which a repeat shares.
        place = crc32(f"{record.source_id}{record.subject}".encode()).to_bytes(4, "big")
        for key in event.keys if self._window_s > 0 else ():
            stored = place + key
            found = one(self._cursor, SQL["seen"], (self._bucket, self._bucket - 1, stored))[0]
            if found is not None and self._now_ms - millis_of(found) <= self._window_s * 1000:
                original = found
            else:
                self._cursor.execute(SQL["see"], (self._bucket, stored, event_id))
        return original


def settle(
    connection: apsw.Connection, tokens: Mapping[int, int], outcomes: Sequence[Outcome], now_ms: int
) -> frozenset[int]:
    """See the port."""
    fenced = _fenced(connection, tokens)
    mine = [outcome for outcome in outcomes if outcome.delivery.partition not in fenced]
    cursor = connection.cursor()
    cursor.executemany(SQL["settle"], [_settled(outcome, now_ms) for outcome in mine])
    cursor.executemany(SQL["add_attempt"], [_attempt(outcome) for outcome in mine])
    return fenced


def _fenced(connection: apsw.Connection, tokens: Mapping[int, int]) -> frozenset[int]:
    rows = ((p, one(connection, SQL["partition"], (p,))) for p in tokens)
    return frozenset(p for p, row in rows if row is None or row[0] != tokens[p])


def _settled(outcome: Outcome, now_ms: int) -> dict[str, object]:
    verdict = outcome.verdict
    return {
        "state": verdict.state.value,
        "attempts": outcome.delivery.attempts + verdict.counts,
        "due_at_ms": verdict.due_at_ms,
        "settled_at_ms": now_ms if verdict.state in _ENDED else 0,
        "reason": verdict.reason,
        "tried_at_ms": outcome.result.started_at_ms,
        "id": outcome.delivery.id,
    }


def _attempt(outcome: Outcome) -> tuple[object, ...]:
    result = outcome.result
    return (
        result.started_at_ms,
        result.duration_ms,
        result.status,
        result.error,
        result.response,
        outcome.delivery.id,
    )


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


def refill(
    connection: apsw.Connection, lanes: Iterable[tuple[LaneKey, int]], each_max: int
) -> list[Delivery]:
    """See the port."""
    found: list[Delivery] = []
    for key, after in lanes:
        values = (key.partition, key.destination_id, key.lane, after, each_max)
        rows = every(connection, SQL["refill"], values)
        found.extend(_row_delivery(row) for row in rows)
    return found


_decode_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


def _row_delivery(row: Sequence[Any]) -> Delivery:
    values = list(row)
    values[10] = _decode_headers(values[10])
    values[12] = EventClass.CONFLATED if values[12] else EventClass.ORDERED
    return Delivery(*values)
