"""Claims, refills and outcomes in the PostgreSQL ledger: jobs of a transaction.

A partition whose token is not the caller's is passed over and named in the answer: its new owner
has it. The rows of `partitions` are locked as weakly as that allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from comporta.clients.postgresql import Connection
from comporta.domain.classes import EventClass
from comporta.domain.delivery import Delivery, Outcome
from comporta.domain.ids import EPOCH_MS, first_at
from comporta.domain.partitioning import BULK
from comporta.errors import FencedError
from comporta.i18n import _
from comporta.ledger.port import Claim, LaneKey, OpenLane
from comporta.ledger.postgres.rows import bounds, columns
from comporta.ledger.recording import Place
from comporta.ledger.sql import blocks

SQL = blocks("postgres")
_ID_HOUR = first_at(EPOCH_MS + 3_600_000)
"""Of ids, which begin with the time."""


async def claim(connection: Connection, partition: int, token: int, log: str) -> Claim:
    """See the port."""
    await connection.execute(SQL["add_partition"], partition, token, log)
    found = await connection.fetchval(SQL["token"], partition)
    if found > token:
        text = _("Partition {partition} belongs to another worker now.")
        raise FencedError(text.format(partition=partition), found)
    offset = await connection.fetchval(SQL["claim_partition"], partition, token, log)
    lanes = tuple(
        OpenLane(LaneKey(partition, destination_id, lane), due_at_ms, instance_id or "")
        for destination_id, lane, due_at_ms, instance_id in await connection.fetch(
            SQL["open_lanes"], partition
        )
    )
    return Claim(offset, lanes)


class Places(NamedTuple):
    """What the ledger has of some partitions. Their owners stay until the transaction ends."""

    mine: dict[int, Place]
    fenced: frozenset[int]
    """Those that have another owner."""


async def places_of(connection: Connection, statement: str, tokens: Mapping[int, int]) -> Places:
    """Look partitions up, and keep their owners from changing.

    Args:
        connection: in a transaction.
        statement: `places_to_move`, `places_to_keep` or `places_alone`.
        tokens: partition → fencing token of who asks.
    """
    rows = await connection.fetch(SQL[statement], list(tokens))
    mine = {p: Place(*place) for p, *place in rows if place[0] == tokens[p]}
    return Places(mine, frozenset(tokens.keys() - mine.keys()))


async def settle(connection: Connection, outcomes: Sequence[Outcome], now_ms: int) -> None:
    """Keep the outcomes of owned partitions."""
    waiting = sorted(outcomes, key=lambda outcome: outcome.delivery.id)
    while waiting:
        # A statement changes a row once, so of one delivery the first outcome goes first.
        turn = {outcome.delivery.id: outcome for outcome in reversed(waiting)}
        chosen = list(reversed(turn.values()))
        rows = [_outcome_row(outcome, now_ms) for outcome in chosen]
        await connection.execute(SQL["settle"], *columns(rows, 11), *bounds(turn))
        mine = set(map(id, chosen))
        waiting = [outcome for outcome in waiting if id(outcome) not in mine]


def _outcome_row(outcome: Outcome, now_ms: int) -> tuple[object, ...]:
    verdict, result = outcome.verdict, outcome.result
    return (
        outcome.delivery.id,
        verdict.state.value,
        outcome.delivery.attempts + verdict.counts,
        verdict.due_at_ms,
        now_ms if verdict.state.ended else 0,
        verdict.reason,
        result.started_at_ms,
        result.duration_ms,
        result.status,
        result.error,
        result.response,
    )


async def refill(
    connection: Connection, lanes: Mapping[LaneKey, int], each_max: int, bytes_max: int
) -> list[Delivery]:
    """See the port."""
    rows = [(key.partition, key.destination_id, key.lane, after) for key, after in lanes.items()]
    after_all = min(lanes.values(), default=0)
    values = (*columns(rows, 4), each_max, bytes_max, after_all, _events_after(lanes, after_all))
    return [_delivery(row) for row in await connection.fetch(SQL["refill"], *values)]


def _events_after(lanes: Iterable[LaneKey], deliveries_after: int) -> int:
    """A lower bound of the events' ids: it keeps older days out of the plan.

    A delivery is made with its event, unless somebody put it back or repeated it; then it is in a
    bulk lane.
    """
    if any(lane.lane & BULK for lane in lanes):
        return 0
    return max(0, deliveries_after - _ID_HOUR)


_decode_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


def _delivery(row: Sequence[Any]) -> Delivery:
    values = list(row)
    values[10] = _decode_headers(values[10])
    values[12] = EventClass.CONFLATED if values[12] else EventClass.ORDERED
    return Delivery(*values)
