"""The log on RabbitMQ: a quorum queue a partition, publisher confirms, one active consumer a queue.

What is appended at the same time goes into one message a partition, and is told to be durable when
most of the queue's nodes have synced it. Publishing and reading have a connection each: RabbitMQ
stops listening to those that publish when its memory or disk runs out, and what is acknowledged is
what frees them. Positions are in the ledger, as with every log; `reading` says how offsets
come about. How much is waiting is known in messages only, so `lag` is at least their number.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from comporta.domain.event import Record
from comporta.domain.growth import Room
from comporta.log.coalescing import Coalescer
from comporta.log.common import check_partitions, with_uid
from comporta.log.port import Batch, LogHealth, Receipt
from comporta.log.rabbitmq.address import address_of
from comporta.log.rabbitmq.link import Link, asking
from comporta.log.rabbitmq.queues import Queues
from comporta.log.rabbitmq.reading import Reader
from comporta.log.rabbitmq.writer import Writer

OPEN_S: Final = 5.0
ANSWER_S: Final = 2.0


class RabbitLog:
    """The `Broker` port on RabbitMQ.

    Args:
        url: `amqp://user:password@host:port/vhost?prefix=…`; `amqps` for TLS. Other options are
            the client's.
        partitions: 1 to 62; must stay the same.
        body_bytes_max: of the largest event.
        observe: called for each durable group with the number of records and the seconds it took.

    Raises:
        ConfigError: the URL, or the number of partitions.
    """

    def __init__(
        self,
        url: str,
        partitions: int,
        *,
        body_bytes_max: int,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        check_partitions(partitions)
        address = address_of(url)
        self.partitions = partitions
        self._where, self._prefix = address.where, address.prefix
        self._queues = Queues(address.where, address.prefix, partitions, body_bytes_max)
        self._in = Link(address, "read")
        self._reading = False
        self._reader = Reader(self._in, self._queues.names)
        self._writer = Writer(address, self._queues, self._reader.appended, observe)
        self._out = self._writer.link
        self._appends = Coalescer(self._writer.send)

    async def open(self) -> None:
        """See the port."""
        self._out.start()
        self._appends.start()
        await self._out.tried(OPEN_S)
        refusal = self._out.refusal
        if refusal is not None:
            await self.close()
            raise refusal

    async def close(self) -> None:
        """See the port."""
        await self._appends.close()
        await self._reader.close()
        await self._in.close()
        await self._out.close()

    async def identity(self) -> str:
        """See the port. Offsets never fall, so queues that were made anew are the same log."""
        return f"rabbitmq:{self._prefix}"

    def assigned(self) -> frozenset[int] | None:
        """See the port. Who consumes is decided by leases; the queue only sees to it."""
        return None

    def append(self, record: Record) -> asyncio.Future[object]:
        """See the port."""
        return self._appends.append(with_uid(record))

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        self._appends.hand_over(with_uid(record), receipt)

    @property
    def pending_bytes(self) -> int:
        """See the port."""
        return self._appends.pending_bytes

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See the port. What is not asked for any more goes to whoever consumes it next."""
        if after and not self._reading:
            self._reading = True
            self._in.start()
        return await self._reader.read(after, events_max, bytes_max)

    async def wait(self, timeout_s: float) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._reader.news.wait()
        except TimeoutError:
            return
        self._reader.news.clear()

    async def commit(self, watermark: Mapping[int, int]) -> None:
        """See the port."""
        await self._reader.commit(watermark)

    async def committed(self) -> dict[int, int]:
        """See the port. What is acknowledged is gone."""
        return {}

    async def lag(self) -> int:
        """At least as many as there are messages, and exactly 0 when there is nothing.

        A message holds what was appended at the same time; only those that this process reads are
        known in events. What another process has and has not acknowledged yet, no client is told.
        """
        connection = self._out.live()
        waiting = 0
        async with asking(self._where, ANSWER_S):
            channel = await connection.channel(publisher_confirms=False)
            for name in self._queues.names:
                found = await channel.queue_declare(name, passive=True)
                waiting += found.message_count or 0
            await channel.close()
        return waiting + self._reader.held_records

    async def room(self) -> Room:
        """See the port. The disks are RabbitMQ's: what it has of them, its clients are not told."""
        return Room(0, 0)

    def health(self) -> LogHealth:
        """See the port."""
        return LogHealth("rabbitmq", self._out.error, warnings=self._queues.warnings)

    async def probe(self) -> None:
        """See the port."""
        await self._writer.probe()
