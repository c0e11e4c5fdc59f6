"""Claims, refills and outcomes in the SQLite ledger: plain functions on an open transaction.

Each write is one job of the group commit. A partition whose token is not the caller's is passed
over and named in the answer: its new owner has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from comporta.domain.classes import EventClass
from comporta.domain.delivery import Delivery, Outcome
from comporta.embedded.rows import every, one
from comporta.errors import FencedError
from comporta.i18n import _
from comporta.ledger.port import Claim, LaneKey, OpenLane
from comporta.ledger.recording import Place
from comporta.ledger.sql import blocks

SQL = blocks("sqlite")


def claim(connection: apsw.Connection, partition: int, token: int, log: str) -> Claim:
    """See the port."""
    row = one(connection, SQL["partition"], (partition,))
    if row is not None and row[0] > token:
        raise FencedError(
            _("Partition {partition} belongs to another worker now.").format(partition=partition),
            row[0],
        )
    offset = one(connection, SQL["claim_partition"], (partition, token, log))[0]
    lanes = tuple(
        OpenLane(LaneKey(partition, destination_id, lane), due_at_ms, instance_id or "")
        for destination_id, lane, _head, due_at_ms, instance_id in every(
            connection, SQL["open_lanes"], (partition,)
        )
    )
    return Claim(offset, lanes)


def settle(
    connection: apsw.Connection, tokens: Mapping[int, int], outcomes: Sequence[Outcome], now_ms: int
) -> frozenset[int]:
    """See the port."""
    _places, fenced = places_of(connection, tokens)
    mine = [outcome for outcome in outcomes if outcome.delivery.partition not in fenced]
    cursor = connection.cursor()
    cursor.executemany(SQL["settle"], [_settled(outcome, now_ms) for outcome in mine])
    cursor.executemany(SQL["add_attempt"], [_attempt(outcome) for outcome in mine])
    return fenced


def places_of(
    connection: apsw.Connection, tokens: Mapping[int, int]
) -> tuple[dict[int, Place], frozenset[int]]:
    """What the ledger has of these partitions, and which of them have another owner."""
    rows = ((p, one(connection, SQL["partition"], (p,))) for p in tokens)
    places = {p: Place(*row) for p, row in rows if row and row[0] == tokens[p]}
    return places, frozenset(tokens.keys() - places.keys())


def _settled(outcome: Outcome, now_ms: int) -> dict[str, object]:
    verdict = outcome.verdict
    return {
        "state": verdict.state.value,
        "attempts": outcome.delivery.attempts + verdict.counts,
        "due_at_ms": verdict.due_at_ms,
        "settled_at_ms": now_ms if verdict.state.ended else 0,
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


def refill(
    connection: apsw.Connection,
    lanes: Iterable[tuple[LaneKey, int]],
    each_max: int,
    bytes_max: int,
) -> list[Delivery]:
    """See the port."""
    found: list[Delivery] = []
    size = 0
    for key, after in lanes:
        values = (key.partition, key.destination_id, key.lane, after, each_max)
        for row in connection.execute(SQL["refill"], values):
            delivery = _row_delivery(row)
            found.append(delivery)
            size += len(delivery.body)
            if size >= bytes_max:
                return found
    return found


_decode_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


def _row_delivery(row: Sequence[Any]) -> Delivery:
    values = list(row)
    values[10] = _decode_headers(values[10])
    values[12] = EventClass.CONFLATED if values[12] else EventClass.ORDERED
    return Delivery(*values)
