"""The lanes of one destination in one worker: who may go next. No I/O, no clock, no asyncio.

A lane gives out one delivery at a time, in order; instances take turns (`domain.fairness`). What
waits for a retry, and what would not fit into memory, stays in the ledger only: such a lane is
*open* there, and asks for a refill when it could go on. So memory is bounded by the number of lanes
that wait, not by what waits in them.

    offer ──▶ queue ──▶ ready ──next──▶ busy ──finished──▶ (queue, or refill, or gone)
                                          └──postponed──▶ waits until due ──wake──▶ refill
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto

from comporta.domain.classes import EventClass
from comporta.domain.delivery import Delivery
from comporta.domain.fairness import Rounds, Share, cost_of, room_of
from comporta.domain.partitioning import BULK
from comporta.ledger.port import LaneKey

Place = tuple[int, int]
"""Partition and lane number; that of an ephemeral lane, which is in memory only, is negative."""


class _Stand(Enum):
    """Where a lane stands in line."""

    NOWHERE = auto()
    READY = auto()
    HUNGRY = auto()


class _Lane:
    """State of one lane. Invariant: at most one of in line, busy, waiting, refilling."""

    __slots__ = (
        "busy",
        "cursor",
        "due_at_ms",
        "instance_id",
        "more",
        "queue",
        "refilling",
        "rewind",
        "stand",
        "tail",
        "unsettled",
    )

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.queue: deque[Delivery] = deque()
        self.stand = _Stand.NOWHERE
        self.busy: Delivery | None = None  # that was given out; not an earlier try at it
        self.refilling = False
        self.more = False  # the ledger has open deliveries that are not in `queue`
        self.rewind = False  # they may be older than the cursor
        self.due_at_ms = 0  # waits until then, if not 0
        self.unsettled: dict[int, Delivery] = {}  # given out, outcome not in the ledger yet
        self.cursor = 0  # id of the last delivery that came to an end
        self.tail = 0  # highest id ever put into the queue


class _Memory:
    """How much is in memory of one kind of traffic: in all, and of each instance."""

    def __init__(self, held_max: int, each_max: int) -> None:
        self.held = 0
        self._held_max, self._each_max = held_max, each_max
        self._held_of: dict[str, int] = {}

    @property
    def full(self) -> bool:
        return self.held >= self._held_max

    def has_room(self, instance_id: str) -> bool:
        return not self.full and self._held_of.get(instance_id, 0) < self._each_max

    def count(self, instance_id: str, room: int) -> None:
        """So much more of the instance is in memory now; less, if negative."""
        self.held += room
        held = self._held_of.get(instance_id, 0) + room
        if held:
            self._held_of[instance_id] = held
        else:
            self._held_of.pop(instance_id, None)


class Lanes:
    """All lanes of a destination.

    Args:
        held_max: deliveries kept in memory at the most, a large one counting as many
            (`fairness.room_of`); what is beyond stays in the ledger. One instance gets half of it.
            A quarter is kept for what was put back or repeated, or a backlog would leave it none.
    """

    def __init__(self, held_max: int) -> None:
        bulk_max = held_max // 4
        self._memory = {
            Share.LIVE: _Memory(held_max - bulk_max, (held_max + 1) // 2),
            Share.BULK: _Memory(bulk_max, (bulk_max + 1) // 2),
        }
        self._lanes: dict[Place, _Lane] = {}
        self._ready: dict[Share, Rounds[Place]] = {share: Rounds() for share in Share}
        self._hungry: dict[Share, Rounds[Place]] = {
            share: Rounds() for share in (Share.LIVE, Share.BULK)
        }
        self._waiting: list[tuple[int, Place]] = []
        self._stopped: set[int] = set()

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def held(self) -> int:
        """How much is in memory."""
        return sum(memory.held for memory in self._memory.values())

    @property
    def ready(self) -> int:
        """About how many lanes have something to give out now."""
        return sum(map(len, self._ready.values()))

    def waiting(self) -> list[Share]:
        """The shares in which something could be given out."""
        return [share for share, rounds in self._ready.items() if rounds]

    def offer(self, delivery: Delivery) -> bool:
        """A delivery that was just recorded joins the end of its lane.

        False: an ephemeral one for which there is no room. It is dropped, for nobody stores it.
        """
        place = _place(delivery)
        ephemeral = place[1] < 0
        lane = self._lanes.get(place)
        if lane is None:
            if ephemeral and not self._memory_of(place).has_room(delivery.instance_id):
                return False
            lane = self._lanes[place] = _Lane(delivery.instance_id)
        if delivery.id <= lane.tail:
            return True  # a refill was faster
        room = self._memory_of(place).has_room(lane.instance_id)
        if lane.more or lane.refilling or lane.due_at_ms or not room:
            if ephemeral:
                return False
            lane.more = True
        else:
            self._hold(place, lane, delivery)
        self._settle_place(place, lane)
        return True

    def open(self, partition: int, number: int, due_at_ms: int = 0, instance_id: str = "") -> None:
        """The ledger has open deliveries in this lane; look at it, at `due_at_ms` or now.

        What is in memory of it is forgotten: the ledger may say something else now.
        """
        place = (partition, number)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane(instance_id)
        self._release(place, lane)
        lane.more = lane.rewind = True
        if due_at_ms and not lane.busy:
            self._wait(place, lane, due_at_ms)
        else:
            lane.due_at_ms = 0
        self._settle_place(place, lane)

    def superseded(self, partition: int, number: int, delivery_id: int) -> None:
        """A newer delivery of the lane says all that this one says: it need not go out."""
        place = (partition, number)
        lane = self._lanes.get(place)
        if lane is None:
            return
        for delivery in lane.queue:
            if delivery.id == delivery_id:
                lane.queue.remove(delivery)
                self._let_go(place, lane, delivery)
                break
        self._settle_place(place, lane)

    def next(
        self, now_ms: int, share: Share, may: Callable[[str], bool] = lambda _instance_id: True
    ) -> Delivery | None:
        """The next delivery of a share to attempt, or None. Its lane is busy until told otherwise.

        Args:
            now_ms: Unix milliseconds.
            share: which kind of traffic.
            may: whether one more of this instance may be under way.
        """
        while (place := self._ready[share].pop(may)) is not None:
            lane = self._lanes.get(place)
            if lane is None or lane.stand is not _Stand.READY:
                continue
            lane.stand = _Stand.NOWHERE
            if place[0] in self._stopped:
                continue
            if not lane.queue or lane.queue[0].due_at_ms > now_ms:
                if lane.queue:
                    self._put_off(place, lane, lane.queue[0].due_at_ms)
                self._settle_place(place, lane)
                continue
            delivery = lane.queue.popleft()
            self._let_go(place, lane, delivery)
            lane.busy = delivery
            if place[1] >= 0:
                lane.unsettled[delivery.id] = delivery
            return delivery
        return None

    def finished(self, delivery: Delivery) -> None:
        """It came to an end: delivered, dead or discarded. The lane goes on with the next."""
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
        # Some for what is repeated, first: there may always be enough of the others.
        for share, most in ((Share.BULK, max(1, lanes_max // 4)), (Share.LIVE, lanes_max)):
            rounds, memory = self._hungry[share], self._memory[share]
            while len(wanted) < most:
                place = rounds.pop(memory.has_room)
                if place is None:
                    break
                lane = self._lanes.get(place)
                if lane is not None and lane.stand is _Stand.HUNGRY:
                    self._ask(LaneKey(place[0], destination_id, place[1]), lane, wanted)
        return wanted

    def _ask(self, key: LaneKey, lane: _Lane, wanted: dict[LaneKey, int]) -> None:
        lane.stand = _Stand.NOWHERE
        if key.partition in self._stopped or not lane.more or lane.unsettled or lane.queue:
            return
        lane.refilling, lane.more = True, False
        if lane.rewind:
            lane.rewind, lane.cursor = False, 0
        wanted[key] = lane.cursor

    def refilled(
        self,
        asked: Collection[LaneKey],
        found: Iterable[Delivery],
        unfinished: Collection[LaneKey],
    ) -> None:
        """What the ledger had for the lanes of `hungry`; of the unfinished ones it has more."""
        for delivery in found:
            place, lane = self._of(delivery)
            # Reopened meanwhile: what was read is older than what somebody changed.
            if lane is None or not lane.refilling or lane.rewind:
                continue
            lane.instance_id = delivery.instance_id
            if self._memory_of(place).full:
                lane.more = True
            else:
                self._hold(place, lane, delivery)
        for key in asked:
            place = (key.partition, key.lane)
            lane = self._lanes.get(place)
            if lane is not None and lane.refilling:
                lane.refilling = False
                lane.more = lane.more or key in unfinished
                self._settle_place(place, lane)

    def stop(self, partition: int) -> None:
        """Give out nothing more of this partition: it is to be handed over."""
        self._stopped.add(partition)

    def active(self) -> set[int]:
        """The partitions of which something is under way."""
        return {
            place[0]
            for place, lane in self._lanes.items()
            if lane.busy or lane.unsettled or lane.refilling
        }

    def drop(self, partition: int) -> None:
        """Forget this partition: its new owner has it."""
        self._stopped.discard(partition)
        for place in [place for place in self._lanes if place[0] == partition]:
            self._release(place, self._lanes.pop(place))
        # What is left behind here would be taken for the lanes of a partition that is won again.
        for rounds in (*self._ready.values(), *self._hungry.values()):
            rounds.keep(lambda place: place[0] != partition)
        self._waiting = [entry for entry in self._waiting if entry[1][0] != partition]
        heapq.heapify(self._waiting)

    def _of(self, delivery: Delivery) -> tuple[Place, _Lane | None]:
        place = _place(delivery)
        return place, self._lanes.get(place)

    # Memory

    def _memory_of(self, place: Place) -> _Memory:
        return self._memory[Share.BULK if _is_bulk(place) else Share.LIVE]

    def _hold(self, place: Place, lane: _Lane, delivery: Delivery) -> None:
        lane.queue.append(delivery)
        lane.tail = max(lane.tail, delivery.id)
        self._memory_of(place).count(lane.instance_id, room_of(len(delivery.body)))

    def _let_go(self, place: Place, lane: _Lane, delivery: Delivery) -> None:
        self._memory_of(place).count(lane.instance_id, -room_of(len(delivery.body)))

    def _release(self, place: Place, lane: _Lane) -> None:
        for delivery in lane.queue:
            self._let_go(place, lane, delivery)
        lane.queue.clear()

    # Standing in line

    def _put_off(self, place: Place, lane: _Lane, due_at_ms: int) -> None:
        """Wait with nothing in memory: the ledger has it all, and others need the room."""
        self._release(place, lane)
        lane.more = lane.rewind = True
        self._wait(place, lane, due_at_ms)

    def _wait(self, place: Place, lane: _Lane, due_at_ms: int) -> None:
        lane.due_at_ms = due_at_ms
        heapq.heappush(self._waiting, (due_at_ms, place))

    def _settle_place(self, place: Place, lane: _Lane) -> None:
        """Put the lane where it belongs now; forget it if nothing is left of it."""
        if lane.busy or lane.refilling or lane.due_at_ms:
            lane.stand = _Stand.NOWHERE
        elif lane.queue:
            if lane.stand is not _Stand.READY:
                lane.stand = _Stand.READY
                head = lane.queue[0]
                rounds = self._ready[_share(place, head)]
                rounds.push(lane.instance_id, place, cost_of(len(head.body)))
        elif lane.unsettled:
            lane.stand = _Stand.NOWHERE
        elif lane.more:
            if lane.stand is not _Stand.HUNGRY:
                lane.stand = _Stand.HUNGRY
                share = Share.BULK if _is_bulk(place) else Share.LIVE
                self._hungry[share].push(lane.instance_id, place)
        else:
            del self._lanes[place]


def _place(delivery: Delivery) -> Place:
    if delivery.event_class is EventClass.EPHEMERAL:
        return (delivery.partition, -1 - delivery.lane)
    return (delivery.partition, delivery.lane)


def _is_bulk(place: Place) -> bool:
    return place[1] >= 0 and bool(place[1] & BULK)


def _share(place: Place, head: Delivery) -> Share:
    if _is_bulk(place):
        return Share.BULK
    return Share.RETRY if head.attempts or head.tried_at_ms else Share.LIVE
