"""Reading the log while partitions are lost and won: nothing is passed over or taken twice."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from comporta.log.port import Log
from comporta.log.sqlite import SqliteLog
from comporta.testing.conformance.records import append_all, opened, record

PARTITIONS = 3
Step = tuple[Any, ...]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.just("append"), st.lists(st.integers(0, PARTITIONS - 1), min_size=1, max_size=6))
    | st.tuples(st.just("read"), st.integers(1, 4), st.sampled_from([1, 50, 10_000]))
    | st.tuples(st.sampled_from(["win", "lose"]), st.integers(0, PARTITIONS - 1)),
    min_size=1,
    max_size=30,
)


class Takeover:
    """What dispatch does with a log, on paper: positions in memory, offsets in the ledger."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.positions: dict[int, int] = {}
        self.offsets = dict.fromkeys(range(PARTITIONS), 0)
        self.taken: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}

    async def read(self, events_max: int, bytes_max: int) -> None:
        if not self.positions:
            return
        batch = await self.log.read(dict(self.positions), events_max, bytes_max)
        for entry in batch.entries:
            partition = entry.record.partition
            assert partition in self.positions
            if entry.offset > self.offsets[partition]:
                self.offsets[partition] = entry.offset
                self.taken[partition].append(entry.record.body)
        self.positions = batch.reached
        await self.log.commit(self.positions)


async def play(path: Path, plan: list[Step]) -> None:
    log = SqliteLog(path, PARTITIONS)
    sent: Mapping[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
    async with opened(log):
        desk, number = Takeover(log), 0
        for step in plan:
            match step:
                case ("append", list(partitions)):
                    group = []
                    for partition in partitions:
                        number += 1
                        sent[partition].append(b"%d" % number)
                        group.append(record(partition, b"%d" % number))
                    await append_all(log, group)
                case ("read", int(events_max), int(bytes_max)):
                    await desk.read(events_max, bytes_max)
                case ("win", int(partition)):
                    desk.positions.setdefault(partition, desk.offsets[partition])
                case ("lose", int(partition)):
                    desk.positions.pop(partition, None)
        desk.positions = {p: desk.positions.get(p, desk.offsets[p]) for p in range(PARTITIONS)}
        for _ in range(number + 5):
            await desk.read(100, 10_000)
        assert desk.taken == sent


@settings(max_examples=40, deadline=None)
@given(steps)
def test_every_entry_is_taken_once_and_in_order_whoever_owns_its_partition(
    plan: list[Step],
) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder) / "log.db", plan))
