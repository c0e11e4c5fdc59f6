"""Who goes next, fairly: deficit round robin between instances, weights between kinds of traffic.

Deficit round robin (Shreedhar and Varghese, 1995): each flow in its turn gets one unit of credit
and goes when it has saved up what its head costs. So a flow with large bodies goes less often, and
one that floods takes turns like everybody.
"""

from collections import deque
from collections.abc import Callable, Collection
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")
COST_BYTES = 64 * 1024
COST_MAX = 16


def room_of(body_bytes: int) -> int:
    """What a body of this size takes up in memory: 1 for each 64 KiB that it has begun."""
    return 1 + body_bytes // COST_BYTES


def cost_of(body_bytes: int) -> int:
    """What a body of this size costs: 1 up to 64 KiB, 16 at the most."""
    return min(COST_MAX, room_of(body_bytes))


class _Flow(Generic[T]):
    __slots__ = ("credit", "items")

    def __init__(self) -> None:
        self.items: deque[tuple[T, int]] = deque()
        self.credit = 0


class Rounds(Generic[T]):
    """Items of many flows, given out in deficit round robin; in order within a flow."""

    def __init__(self) -> None:
        self._flows: dict[str, _Flow[T]] = {}
        self._turns: deque[str] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, flow: str, item: T, cost: int = 1) -> None:
        """Add an item at the end of its flow. `cost`: 1 to COST_MAX."""
        known = self._flows.get(flow)
        if known is None:
            known = self._flows[flow] = _Flow()
            self._turns.append(flow)
        known.items.append((item, cost))
        self._count += 1

    def pop(self, may: Callable[[str], bool]) -> T | None:
        """The next item of a flow that may go now, or None."""
        passed_over = 0
        while passed_over < len(self._turns):
            name = self._turns[0]
            if not may(name):
                self._turns.rotate(-1)
                passed_over += 1
                continue
            flow = self._flows[name]
            item, cost = flow.items[0]
            flow.credit += 1
            if flow.credit < cost:
                self._turns.rotate(-1)
                passed_over = 0
                continue
            flow.credit -= cost
            self._take(name, flow)
            return item
        return None

    def _take(self, name: str, flow: _Flow[T]) -> None:
        flow.items.popleft()
        self._count -= 1
        self._turns.rotate(-1)
        if not flow.items:  # it was the last in the round just now
            del self._flows[name]
            self._turns.pop()

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Forget all items but the wanted ones."""
        for name, flow in list(self._flows.items()):
            flow.items = deque(entry for entry in flow.items if wanted(entry[0]))
            if not flow.items:
                del self._flows[name]
                self._turns.remove(name)
        self._count = sum(len(flow.items) for flow in self._flows.values())


class Share(IntEnum):
    """Kinds of traffic to one destination; each has capacity of its own."""

    LIVE = 0
    """First attempts."""
    RETRY = 1
    """What failed before."""
    BULK = 2
    """What somebody put back, or has repeated."""


WEIGHTS = {Share.LIVE: 12, Share.RETRY: 3, Share.BULK: 1}


class Turns:
    """Smooth weighted round robin between shares: each gets its weight's part, evenly spread."""

    def __init__(self) -> None:
        self._credit = dict.fromkeys(Share, 0)

    def next(self, waiting: Collection[Share]) -> Share:
        """Which of the shares that have something waiting (at least one) goes now."""
        if len(waiting) == 1:
            return next(iter(waiting))
        for share in waiting:
            self._credit[share] += WEIGHTS[share]
        chosen = max(waiting, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(WEIGHTS[share] for share in waiting)
        return chosen


def slots(concurrency: int) -> dict[Share, int]:
    """How many attempts of each share may be under way, of `concurrency` (at least 1) in all.

    First attempts leave an eighth to the others; retries get half at the most, what is repeated a
    quarter: so neither a storm of retries nor a replay holds up what happens now. Of fewer than
    eight none is left idle: the others get theirs in turn (`Turns`), as soon as one is free.
    """
    return {
        Share.LIVE: concurrency - concurrency // 8,
        Share.RETRY: max(1, concurrency // 2),
        Share.BULK: max(1, concurrency // 4),
    }
