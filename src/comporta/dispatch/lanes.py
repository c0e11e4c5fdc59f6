"""The lanes of one destination in one worker: who may go next. No I/O, no clock, no asyncio.

A lane gives out one delivery at a time, in order. What waits for a retry, and what would not fit
into memory, stays in the ledger only: such a lane is *open* there, and asks for a refill when it
could go on. So memory is bounded by the number of lanes that wait, not by what waits in them.

    offer ──▶ queue ──▶ ready ──next──▶ busy ──finished──▶ (queue, or refill, or gone)
                                          └──postponed──▶ waits until due ──wake──▶ refill
"""

import heapq
from collections import deque
from collections.abc import Collection, Iterable

from comporta.domain.delivery import Delivery
from comporta.ledger.port import LaneKey

Place = tuple[int, int]
"""Partition and lane number."""


class _Lane:
    """State of one lane. Invariant: at most one of ready, busy, waiting, refilling."""

    __slots__ = (
        "busy",
        "cursor",
        "due_at_ms",
        "more",
        "queue",
        "queued",
        "refilling",
        "rewind",
        "tail",
        "unsettled",
    )

    def __init__(self) -> None:
        self.queue: deque[Delivery] = deque()
        self.queued = False  # stands in `ready` or `hungry`
        self.busy: Delivery | None = None  # that was given out; not an earlier try at it
        self.refilling = False
        self.more = False  # the ledger has open deliveries that are not in `queue`
        self.rewind = False  # they may be older than the cursor
        self.due_at_ms = 0  # waits until then, if not 0
        self.unsettled: dict[int, Delivery] = {}  # given out, outcome not in the ledger yet
        self.cursor = 0  # id of the last delivery that came to an end
        self.tail = 0  # highest id ever put into the queue


class Lanes:
    """All lanes of a destination.

    Args:
        held_max: deliveries kept in memory at the most; what is beyond stays in the ledger.
    """

    def __init__(self, held_max: int) -> None:
        self.held = 0
        self._held_max = held_max
        self._lanes: dict[Place, _Lane] = {}
        self._ready: deque[Place] = deque()
        self._hungry: deque[Place] = deque()
        self._waiting: list[tuple[int, Place]] = []
        self._stopped: set[int] = set()

    def __len__(self) -> int:
        return len(self._lanes)

    def offer(self, delivery: Delivery) -> None:
        """A delivery that was just recorded joins the end of its lane."""
        place = (delivery.partition, delivery.lane)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane()
        if delivery.id <= lane.tail:
            return  # a refill was faster
        if lane.more or lane.refilling or lane.due_at_ms or self.held >= self._held_max:
            lane.more = True
        else:
            self._hold(lane, delivery)
        self._settle_place(place, lane)

    def open(self, partition: int, number: int, due_at_ms: int = 0) -> None:
        """The ledger has open deliveries in this lane; look at it, at `due_at_ms` or now."""
        place = (partition, number)
        lane = self._lanes.setdefault(place, _Lane())
        lane.more = lane.rewind = True
        if due_at_ms and not lane.busy and not lane.queue:
            self._wait(place, lane, due_at_ms)
        else:
            lane.due_at_ms = 0
        self._settle_place(place, lane)

    def next(self, now_ms: int) -> Delivery | None:
        """The next delivery to attempt, or None. Its lane is busy until told otherwise."""
        while self._ready:
            place = self._ready.popleft()
            lane = self._lanes.get(place)
            if lane is None or not lane.queued:
                continue
            lane.queued = False
            if place[0] in self._stopped or not lane.queue:
                continue
            if lane.queue[0].due_at_ms > now_ms:
                self._put_off(place, lane, lane.queue[0].due_at_ms)
                continue
            delivery = lane.queue.popleft()
            self.held -= 1
            lane.busy = lane.unsettled[delivery.id] = delivery
            return delivery
        return None

    def finished(self, delivery: Delivery) -> None:
        """It came to an end: delivered or dead. The lane goes on with the next."""
        place, lane = self._of(delivery)
        if lane is not None and lane.busy is delivery:
            lane.busy = None
            lane.cursor = max(lane.cursor, delivery.id)
            self._settle_place(place, lane)

    def postponed(self, delivery: Delivery, due_at_ms: int) -> None:
        """It is to be tried again at `due_at_ms`; its lane waits, with all that is in it."""
        place, lane = self._of(delivery)
        if lane is not None and lane.busy is delivery:
            lane.busy = None
            self._put_off(place, lane, due_at_ms)

    def settled(self, delivery: Delivery) -> None:
        """The ledger has the outcome that was reported for it."""
        place, lane = self._of(delivery)
        if lane is not None and lane.unsettled.get(delivery.id) is delivery:
            del lane.unsettled[delivery.id]
            self._settle_place(place, lane)

    def wake(self, now_ms: int) -> int | None:
        """Let lanes go on that are due; when the next one will be (Unix ms), or None."""
        while self._waiting:
            due_at_ms, place = self._waiting[0]
            lane = self._lanes.get(place)
            if lane is not None and lane.due_at_ms == due_at_ms:
                if due_at_ms > now_ms:
                    return due_at_ms
                lane.due_at_ms = 0
                self._settle_place(place, lane)
            heapq.heappop(self._waiting)
        return None

    def hungry(self, destination_id: str, lanes_max: int) -> dict[LaneKey, int]:
        """Up to `lanes_max` lanes that want a refill, and after which id; then call `refilled`."""
        wanted: dict[LaneKey, int] = {}
        while self._hungry and len(wanted) < lanes_max and self.held < self._held_max:
            place = self._hungry.popleft()
            lane = self._lanes.get(place)
            if lane is None or not lane.queued:
                continue
            lane.queued = False
            if place[0] in self._stopped or not lane.more or lane.unsettled or lane.queue:
                continue
            lane.refilling, lane.more = True, False
            if lane.rewind:
                lane.rewind, lane.cursor = False, 0
            wanted[LaneKey(place[0], destination_id, place[1])] = lane.cursor
        return wanted

    def refilled(
        self, asked: Collection[LaneKey], found: Iterable[Delivery], each_max: int
    ) -> None:
        """What the ledger had for the lanes of `hungry`, at most `each_max` of each."""
        counts: dict[Place, int] = {}
        for delivery in found:
            place, lane = self._of(delivery)
            counts[place] = counts.get(place, 0) + 1
            if lane is None or not lane.refilling:
                continue
            if self.held < self._held_max:
                self._hold(lane, delivery)
            else:
                lane.more = True
        for key in asked:
            place = (key.partition, key.lane)
            lane = self._lanes.get(place)
            if lane is not None and lane.refilling:
                lane.refilling = False
                lane.more = lane.more or counts.get(place, 0) >= each_max
                self._settle_place(place, lane)

    def stop(self, partition: int) -> None:
        """Give out nothing more of this partition: it is to be handed over."""
        self._stopped.add(partition)

    def idle(self, partition: int) -> bool:
        """Nothing of this partition is under way."""
        return not any(
            lane.busy or lane.unsettled or lane.refilling
            for place, lane in self._lanes.items()
            if place[0] == partition
        )

    def drop(self, partition: int) -> None:
        """Forget this partition: its new owner has it."""
        self._stopped.discard(partition)
        for place in [place for place in self._lanes if place[0] == partition]:
            self._release(self._lanes.pop(place))
        # What is left behind here would be taken for the lanes of a partition that is won again.
        self._ready = deque(place for place in self._ready if place[0] != partition)
        self._hungry = deque(place for place in self._hungry if place[0] != partition)
        self._waiting = [entry for entry in self._waiting if entry[1][0] != partition]
        heapq.heapify(self._waiting)

    def _of(self, delivery: Delivery) -> tuple[Place, _Lane | None]:
        place = (delivery.partition, delivery.lane)
        return place, self._lanes.get(place)

    def _hold(self, lane: _Lane, delivery: Delivery) -> None:
        lane.queue.append(delivery)
        lane.tail = max(lane.tail, delivery.id)
        self.held += 1

    def _release(self, lane: _Lane) -> None:
        self.held -= len(lane.queue)
        lane.queue.clear()

    def _put_off(self, place: Place, lane: _Lane, due_at_ms: int) -> None:
        """Wait with nothing in memory: the ledger has it all, and others need the room."""
        self._release(lane)
        lane.more = lane.rewind = True
        self._wait(place, lane, due_at_ms)

    def _wait(self, place: Place, lane: _Lane, due_at_ms: int) -> None:
        lane.due_at_ms = due_at_ms
        heapq.heappush(self._waiting, (due_at_ms, place))

    def _settle_place(self, place: Place, lane: _Lane) -> None:
        """Put the lane where it belongs now; forget it if nothing is left of it."""
        if lane.queued or lane.busy or lane.refilling or lane.due_at_ms:
            return
        if lane.queue:
            lane.queued = True
            self._ready.append(place)
        elif lane.unsettled:
            return
        elif lane.more:
            lane.queued = True
            self._hungry.append(place)
        else:
            del self._lanes[place]
