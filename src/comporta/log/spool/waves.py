"""What may be sent on from the spool next: pure, asks nobody and waits for nothing.

A wave has at most one event of each lane, and a lane's next one goes only when the one before is
confirmed. So a wave that fails half way, and is sent again, puts nothing out of order, whatever the
broker made of it. Where one event of a partition fails, the partition is given up until it is tried
again, with a single event first; the others go on.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from comporta.log.port import Batch, Entry

AHEAD_MAX = 256
"""Events of one partition that are read and not done: enough lanes to fill a wave."""
WAVE_MAX = 512
"""Events under way at a time."""
BYTES_MAX = 16 * 1024 * 1024
"""Of bodies in memory at a time; what one read brings can come on top."""


class Item:
    """An event of the spool on its way. `confirmed`: the broker has it."""

    __slots__ = ("confirmed", "entry", "lane")

    def __init__(self, entry: Entry, lane: "_Lane") -> None:
        self.entry, self.lane, self.confirmed = entry, lane, False


class _Lane:
    """The events of one conversation, in order; the first is under way or ready to go."""

    __slots__ = ("items", "queue")

    def __init__(self, queue: "_Queue") -> None:
        self.items: deque[Item] = deque()
        self.queue = queue


class _Queue:
    """What is known of one partition."""

    def __init__(self, reached: int) -> None:
        self.reached = reached
        """Read up to here."""
        self.window: deque[Item] = deque()
        """From the first event that is not confirmed on."""
        self.lanes: dict[tuple[str, str], _Lane] = {}
        self.ready: deque[_Lane] = deque()
        self.flying = 0
        self.stalled = self.trial = False
        self.done: set[int] = set()
        """Offsets beyond the watermark that were confirmed before it was given up."""

    @property
    def watermark(self) -> int:
        return self.window[0].entry.offset - 1 if self.window else self.reached

    @property
    def may_fly(self) -> bool:
        return bool(self.ready) and not self.stalled and not (self.trial and self.flying)


class Waves:
    """The window on the spool. Offsets are those of the spool's own file.

    Args:
        watermark: partition → up to where its events are sent on.
    """

    def __init__(self, watermark: Mapping[int, int]) -> None:
        self.bytes = self.flying = 0
        self._queues = {partition: _Queue(offset) for partition, offset in watermark.items()}
        self._turn = 0

    def watermark(self) -> dict[int, int]:
        """Partition → up to where its events are confirmed."""
        return {partition: queue.watermark for partition, queue in self._queues.items()}

    def idle(self, partition: int) -> bool:
        """Whether everything of it that was read is confirmed."""
        queue = self._queues[partition]
        return not queue.window and not queue.stalled

    def hungry(self) -> dict[int, int]:
        """What to read next: partition → after which offset. Who is furthest behind comes first."""
        if self.bytes >= BYTES_MAX:
            return {}
        wanting = {
            partition: queue.reached
            for partition, queue in self._queues.items()
            if not queue.stalled and len(queue.window) < AHEAD_MAX
        }
        floor = min(wanting.values(), default=0)
        return {partition: offset for partition, offset in wanting.items() if offset == floor}

    def add(self, after: Mapping[int, int], batch: Batch) -> None:
        """Take in what was read after these offsets, unless that was given up meanwhile."""
        taking = {
            partition: queue
            for partition, offset in after.items()
            if not (queue := self._queues[partition]).stalled and queue.reached == offset
        }
        for entry in batch.entries:
            if entry.record.partition in taking:
                self._take_in(taking[entry.record.partition], entry)
        for partition, queue in taking.items():
            queue.reached = batch.reached[partition]
            if queue.done:
                queue.done = {offset for offset in queue.done if offset > queue.watermark}

    def _take_in(self, queue: _Queue, entry: Entry) -> None:
        if entry.offset in queue.done:
            return
        record = entry.record
        key = record.instance_id, record.subject
        lane = queue.lanes.get(key)
        if lane is None:
            lane = queue.lanes[key] = _Lane(queue)
            queue.ready.append(lane)
        item = Item(entry, lane)
        lane.items.append(item)
        queue.window.append(item)
        self.bytes += len(record.body)

    def take(self) -> list[Item]:
        """The next wave, partitions in turns; every item must be told of by `confirm` or `fail`."""
        wave: list[Item] = []
        turns = deque(self._in_turn())
        while turns and self.flying < WAVE_MAX:
            queue = turns.popleft()
            wave.append(queue.ready.popleft().items[0])
            queue.flying += 1
            self.flying += 1
            if queue.may_fly:
                turns.append(queue)
        return wave

    def _in_turn(self) -> Iterator[_Queue]:
        queues = list(self._queues.values())
        self._turn = (self._turn + 1) % len(queues)
        for queue in (*queues[self._turn :], *queues[: self._turn]):
            if queue.may_fly:
                yield queue

    def confirm(self, item: Item) -> None:
        """The broker has it."""
        lane, queue = item.lane, item.lane.queue
        item.confirmed = True
        self.bytes -= len(item.entry.record.body)
        lane.items.popleft()
        if lane.items:
            queue.ready.append(lane)
        else:
            record = item.entry.record
            del queue.lanes[record.instance_id, record.subject]
        while queue.window and queue.window[0].confirmed:
            queue.window.popleft()
        queue.trial = False
        self._landed(queue)

    def fail(self, item: Item) -> None:
        """The broker did not take it: its partition waits for `retry`."""
        item.lane.queue.stalled = True
        self._landed(item.lane.queue)

    def retry(self, partition: int) -> bool:
        """Try a partition that failed once more; False: something of it is still under way."""
        queue = self._queues[partition]
        if queue.flying:
            return False
        if queue.stalled:
            queue.stalled, queue.trial = False, True
        return True

    def _landed(self, queue: _Queue) -> None:
        queue.flying -= 1
        self.flying -= 1
        if queue.stalled and not queue.flying:
            self._forget(queue)

    def _forget(self, queue: _Queue) -> None:
        """Read it again later, for an outage may last, and memory is for those that go on."""
        queue.reached = queue.watermark
        for item in queue.window:
            if item.confirmed:
                queue.done.add(item.entry.offset)
            else:
                self.bytes -= len(item.entry.record.body)
        queue.window.clear()
        queue.lanes.clear()
        queue.ready.clear()
