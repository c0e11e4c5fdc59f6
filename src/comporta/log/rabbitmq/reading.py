"""Reading from RabbitMQ, which has no offsets: they are given out here, to what is delivered.

Each partition that is asked for has a consumer, and RabbitMQ's rule of one active consumer a queue
does the rest. Offsets rise from the last one that the ledger has, and are never below the clock in
microseconds, so that they rise over restarts and from owner to owner. What comes again (its first
delivery was not acknowledged) gets a new offset above all that were given out: it is read again,
and known as a repeat by its id. Nothing is acknowledged that was not committed.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from comporta.errors import StoreError
from comporta.log.port import Batch, Entry
from comporta.log.rabbitmq.consumer import Consumer
from comporta.log.rabbitmq.link import Link

HELD_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of messages in memory, all partitions together; more only where one partition alone needs it."""
SETTLE_S: Final = 2.0
"""How long a read that has nothing waits for what is on its way."""


class Reader:
    """The partitions that this process reads.

    Args:
        link: the connection for it.
        queues: the name of each partition's queue.
    """

    def __init__(self, link: Link, queues: Sequence[str]) -> None:
        self._link, self._queues = link, queues
        self._consumers: dict[int, Consumer] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._tops: dict[int, int] = {}
        self._turn = 0
        self._changed = asyncio.Event()
        self.news = asyncio.Event()
        """Something was delivered."""

    @property
    def held_records(self) -> int:
        """Delivered here and not acknowledged."""
        return sum(one.held_records for one in self._consumers.values())

    def appended(self, partitions: Iterable[int]) -> None:
        """This process has made something durable."""
        for partition in partitions:
            if partition in self._consumers:
                self._consumers[partition].unsettle()
        self.news.set()

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See the port. What is not asked for any more is let go."""
        self.news.clear()
        self._ask_for(after)
        batch = self._collect(after, events_max, bytes_max)
        if not batch.entries and await self._settle(after):
            batch = self._collect(after, events_max, bytes_max)
        return batch

    async def commit(self, watermark: Mapping[int, int]) -> None:
        """See the port. Whole messages are acknowledged."""
        for partition, offset in watermark.items():
            if partition in self._consumers:
                await self._consumers[partition].acknowledge(offset)

    async def close(self) -> None:
        """Give everything back."""
        self._ask_for({})
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _ask_for(self, after: Mapping[int, int]) -> None:
        for partition, consumer in list(self._consumers.items()):
            # Beyond what was given out here: somebody else has read on meanwhile.
            if partition not in after or after[partition] > consumer.top:
                self._let_go(consumer)
        for partition, offset in after.items():
            if partition not in self._consumers and self._has_room():
                above = max(offset, self._tops.get(partition, 0), time.time_ns() // 1000)
                queue = self._queues[partition]
                self._consumers[partition] = Consumer(
                    self._link, partition, queue, above, self._arrived
                )

    def _let_go(self, consumer: Consumer) -> None:
        self._tops[consumer.partition] = consumer.top
        del self._consumers[consumer.partition]
        task = consumer.leave()
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _has_room(self) -> bool:
        return not self._consumers or self._held_bytes() <= HELD_BYTES_MAX // 2

    def _held_bytes(self) -> int:
        return sum(one.held_bytes for one in self._consumers.values())

    def _arrived(self) -> None:
        self._changed.set()
        self.news.set()
        while len(self._consumers) > 1 and self._held_bytes() > HELD_BYTES_MAX:
            # It comes again when there is room.
            self._let_go(max(self._consumers.values(), key=lambda one: one.held_bytes))

    async def _settle(self, after: Mapping[int, int]) -> bool:
        """Wait for what is on its way, if anything may be; whether that was necessary.

        Raises:
            StoreError: a queue cannot be read now.
        """
        waited = False
        try:
            async with asyncio.timeout(SETTLE_S):
                while not self._is_settled(after):
                    waited = True
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._link.live()
            for consumer in self._consumers.values():
                if consumer.failure is not None:
                    raise consumer.failure from None
        return waited

    def _is_settled(self, after: Mapping[int, int]) -> bool:
        """Something new is here, or nothing is left to come."""
        consumers = self._consumers.values()
        return any(
            one.frames and one.frames[-1].last > after[one.partition] for one in consumers
        ) or all(one.settled.is_set() for one in consumers)

    def _collect(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """What is here beyond `after`. Each read begins with another partition: none waits long.

        Raises:
            StoreError: there is nothing but what cannot be read.
        """
        entries: list[Entry] = []
        reached = dict(after)
        error: StoreError | None = None
        size = 0
        for consumer in self._in_turn():
            for frame in consumer.frames:
                if frame.error is not None and frame.last > after[consumer.partition]:
                    error = error or frame.error
                    break  # what comes after it has to wait
                offset = frame.last - len(frame.records)
                for record in frame.records:
                    offset += 1
                    if offset <= after[consumer.partition]:
                        continue
                    entries.append(Entry(offset, record))
                    reached[consumer.partition] = offset
                    size += len(record.body)
                    if len(entries) >= events_max or size >= bytes_max:
                        return Batch(tuple(entries), reached)
        if error is not None and not entries:
            raise error
        return Batch(tuple(entries), reached)

    def _in_turn(self) -> list[Consumer]:
        self._turn += 1
        consumers = list(self._consumers.values())
        first = self._turn % len(consumers) if consumers else 0
        return consumers[first:] + consumers[:first]
