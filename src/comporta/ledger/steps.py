"""What a step of a change in bulk makes of the deliveries that were chosen; pure, for every engine.

An engine writes it, and passes over what is not any more what it was when it was chosen.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import IdMaker
from comporta.domain.pace import Pace, due_at_ms
from comporta.domain.partitioning import bulk_lane
from comporta.ledger.port import LaneKey, Operation, Step
from comporta.ledger.questions import Chosen


class Replay(msgspec.Struct, frozen=True, gc=False):
    """A delivery to be made for an event that had one."""

    id: int
    event_id: int
    route_id: str
    destination_id: str
    partition: int
    lane: int
    state: str
    due_at_ms: int

    @property
    def key(self) -> LaneKey:
        """Its lane."""
        return LaneKey(self.partition, self.destination_id, self.lane)


def replays(
    rows: Sequence[Chosen],
    last_ids: Mapping[int, int],
    now_ms: int,
    destination_id: str | None,
    pace: Pace | None,
) -> list[Replay]:
    """The new deliveries, in the order of the old ones.

    Args:
        rows: the old ones.
        last_ids: partition → highest id made in it, of every partition in `rows`.
        now_ms: Unix milliseconds.
        destination_id: where they go; None: where the old ones went.
        pace: when each may go out; None: at once.
    """
    makers = {partition: IdMaker(partition, last_id) for partition, last_id in last_ids.items()}
    made = []
    for index, row in enumerate(rows):
        due_ms = due_at_ms(pace, index, row.accepted_at_ms) if pace else 0
        made.append(
            Replay(
                makers[row.partition].next(now_ms),
                row.event_id,
                row.route_id,
                destination_id or row.destination_id,
                row.partition,
                bulk_lane(row.lane),
                (DeliveryState.SCHEDULED if due_ms else DeliveryState.PENDING).value,
                due_ms,
            )
        )
    return made


def partitions_of(rows: Sequence[Chosen]) -> list[int]:
    """Those in which the rows are, each once, rising."""
    return sorted({row.partition for row in rows})


def step_of(rows: Sequence[Chosen], done: Collection[object]) -> Step:
    """What a step tells: how many it took, and where the next one goes on."""
    return Step(len(done), rows[-1].id if rows else 0)


def operation_row(row: Sequence[Any]) -> Operation:
    """A row of `operations`: its moment, who, what, the filter as JSON, how many, its number."""
    at_ms, who, what, which, count, number = row
    return Operation(at_ms, who, what, msgspec.json.decode(which), count, number)
