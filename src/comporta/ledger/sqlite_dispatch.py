"""What dispatch writes into the SQLite ledger: plain functions on an open transaction.

Each is one job of the group commit. A partition whose token is not the caller's is passed over and
named in the answer: its new owner has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import apsw
import msgspec

from comporta.domain.dedupe import DEFAULT_WINDOW_S, keys_of
from comporta.domain.delivery import Delivery, DeliveryState, Outcome
from comporta.domain.ids import IdMaker, millis_of
from comporta.embedded.rows import every, one
from comporta.errors import FencedError
from comporta.i18n import _
from comporta.ledger.port import Claim, LaneKey, NewEvent, OpenLane, Recorded
from comporta.ledger.sql import blocks

SQL = blocks("sqlite")
_ENDED = (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DISCARDED)
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
        OpenLane(LaneKey(partition, destination_id, lane), due_at_ms)
        for destination_id, lane, _head, due_at_ms in every(
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
    return Recorded(tuple(scribe.deliveries), scribe.duplicates, fenced=fenced)


class _Scribe:
    """Collects the rows of one batch, so that each table is written in one go."""

    def __init__(
        self,
        connection: apsw.Connection,
        places: Mapping[int, tuple[int, int, int] | None],
        now_ms: int,
        window_s: float,
    ) -> None:
        self.deliveries: list[Delivery] = []
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
        self._rows: list[tuple[object, ...]] = []
        self._accounts: dict[str, int] = {}

    def take(self, event: NewEvent) -> None:
        record = event.record
        partition = record.partition
        event_id = self._next_id(partition)
        duplicate_of = self._repeated(event, event_id)
        self.offsets[partition] = event.offset
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
        if event.learns_account and event.account_id is not None:
            self._accounts[record.source_id] = event.account_id
        if duplicate_of is not None:
            self.duplicates += 1
            return
        for target in event.targets:
            delivery = _delivery(event, target.destination_id, event_id, self._next_id(partition))
            self.deliveries.append(delivery)
            self._rows.append(
                (
                    delivery.id,
                    event_id,
                    target.route_id,
                    target.destination_id,
                    partition,
                    event.lane,
                    False,
                )
            )

    def write(self) -> None:
        if not self._events:
            return
        self._cursor.executemany(SQL["add_event"], self._events)
        self._cursor.executemany(SQL["add_body"], self._bodies)
        self._cursor.executemany(SQL["add_delivery"], self._rows)
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
        for key in keys_of(
            record.source_id,
            record.event_type,
            record.header("x-chatwoot-delivery"),
            record.body,
            self._window_s,
        ):
            stored = place + key.key
            found = one(self._cursor, SQL["seen"], (self._bucket, self._bucket - 1, stored))[0]
            if found is not None and self._now_ms - millis_of(found) <= key.window_s * 1000:
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


def _settled(outcome: Outcome, now_ms: int) -> tuple[object, ...]:
    verdict = outcome.verdict
    return (
        verdict.state.value,
        outcome.delivery.attempts + 1,
        verdict.due_at_ms,
        now_ms if verdict.state in _ENDED else 0,
        verdict.reason,
        outcome.delivery.id,
    )


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


def _delivery(event: NewEvent, destination_id: str, event_id: int, delivery_id: int) -> Delivery:
    record = event.record
    return Delivery(
        id=delivery_id,
        event_id=event_id,
        destination_id=destination_id,
        partition=record.partition,
        lane=event.lane,
        attempts=0,
        due_at_ms=0,
        instance_id=record.instance_id,
        event_type=record.event_type,
        accepted_at_ms=record.accepted_at_ms,
        headers=record.headers,
        body=record.body,
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
    return Delivery(*values)
