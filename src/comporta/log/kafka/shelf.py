"""What has been fetched from Kafka and is not read past yet, partition by partition.

It decides what has to be fetched from where, and what a read brings; it fetches nothing itself,
and whoever uses it from two threads holds a lock. Offsets here are the port's: one above Kafka's,
so that 0 is "from the start".
"""

from collections import deque
from collections.abc import Collection, Mapping

import msgspec

EVENTS_MAX = 4096
BYTES_MAX = 16 * 1024 * 1024
"""Beyond either nothing more is fetched until some of it is read past."""


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """A message as it came."""

    offset: int
    value: bytes


class Stretch(msgspec.Struct):
    """A part of one partition without a hole, from where a reader is to where fetching is."""

    read: int
    """Everything up to here has been read past."""
    fetched: int
    end: int = -1
    """Up to here there is something, as far as is known; -1: nobody has asked the server yet."""
    trouble: str = ""
    """Why it cannot be fetched, in a sentence."""
    waiting: deque[Fetched] = msgspec.field(default_factory=deque)

    @property
    def begun(self) -> bool:
        """Whether it is being fetched."""
        return self.end >= 0

    @property
    def behind(self) -> bool:
        """Whether there is something that is not fetched, as far as is known."""
        return not self.begun or self.fetched < self.end


class Given(msgspec.Struct, frozen=True):
    """What a read brings."""

    messages: list[tuple[int, Fetched]]
    """With their partitions; in order within each."""
    reached: dict[int, int]


class Shelf:
    """All stretches of one reader."""

    def __init__(self) -> None:
        self.stretches: dict[int, Stretch] = {}
        self._events = self._bytes = 0
        self._turn = 0

    @property
    def full(self) -> bool:
        """Whether to fetch nothing for now."""
        return self._events >= EVENTS_MAX or self._bytes >= BYTES_MAX

    def ask(self, after: Mapping[int, int]) -> None:
        """These partitions are read from these offsets now, and no others."""
        for partition in self.stretches.keys() - after.keys():
            self.drop(partition)
        for partition, offset in after.items():
            stretch = self.stretches.get(partition)
            if stretch is None or not stretch.read <= offset <= stretch.fetched:
                self.restart(partition, offset)
            else:
                self._read_past(stretch, offset)

    def restart(self, partition: int, offset: int) -> None:
        """Forget what is fetched of it; it is to be fetched from this offset on."""
        self.drop(partition)
        self.stretches[partition] = Stretch(read=offset, fetched=offset)

    def drop(self, partition: int) -> None:
        """Nobody reads it any more."""
        stretch = self.stretches.pop(partition, None)
        if stretch is not None:
            self._events -= len(stretch.waiting)
            self._bytes -= sum(len(one.value) for one in stretch.waiting)

    def begin(self, partition: int, start: int, end: int) -> None:
        """It is fetched now.

        Args:
            partition: one that was asked for.
            start: the offset after which the server has something; what was before is gone.
            end: the last that there is now.
        """
        stretch = self.stretches[partition]
        stretch.fetched = max(stretch.fetched, start)
        stretch.end, stretch.trouble = end, ""

    def put(self, partition: int, offset: int, value: bytes) -> None:
        """The next message of a partition. One that nobody asked for is let go."""
        stretch = self.stretches.get(partition)
        if stretch is None or not stretch.begun or offset <= stretch.fetched:
            return
        stretch.fetched = offset
        stretch.waiting.append(Fetched(offset, value))
        self._events += 1
        self._bytes += len(value)

    def ended(self, partition: int, offset: int) -> None:
        """What is missing up to this offset never comes: there is nothing, or no event."""
        stretch = self.stretches.get(partition)
        if stretch is not None and stretch.begun:
            stretch.fetched = max(stretch.fetched, offset)

    def give(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> "Given":
        """What is there of these partitions, which were asked for just now.

        Partitions take turns in being first, so that none waits behind a backlog of others.
        """
        given, size = Given([], dict(after)), 0
        order = sorted(after.keys() & self.stretches.keys())
        self._turn += 1
        turn = self._turn % len(order) if order else 0
        for partition in order[turn:] + order[:turn]:
            stretch = self.stretches[partition]
            for fetched in stretch.waiting:
                if len(given.messages) >= events_max or size >= bytes_max:
                    return given
                given.messages.append((partition, fetched))
                given.reached[partition] = fetched.offset
                size += len(fetched.value)
            given.reached[partition] = stretch.fetched
        return given

    def troubles(self, partitions: Collection[int]) -> list[str]:
        """Why partitions cannot be fetched."""
        found = [self.stretches[p] for p in sorted(partitions) if p in self.stretches]
        return [stretch.trouble for stretch in found if stretch.trouble]

    def behind(self, partitions: Collection[int]) -> bool:
        """Whether more of these is to come without anybody appending."""
        return any(one.behind for p in partitions if (one := self.stretches.get(p)) is not None)

    def _read_past(self, stretch: Stretch, offset: int) -> None:
        stretch.read = offset
        while stretch.waiting and stretch.waiting[0].offset <= offset:
            self._events -= 1
            self._bytes -= len(stretch.waiting.popleft().value)
