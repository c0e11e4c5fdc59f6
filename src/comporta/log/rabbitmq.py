"""The log on RabbitMQ: a quorum queue a partition, publisher confirms, one active consumer a queue.

What is appended at the same time goes into one message a partition, and is told to be durable when
most of the queue's nodes have synced it. Publishing and reading have a connection each: RabbitMQ
stops listening to those that publish when its memory or disk runs out, and what is acknowledged is
what frees them. Positions are in the ledger, as with every log; `rabbitmq_reading` says how offsets
come about. How much is waiting is known in messages only, so `lag` is at least their number.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import aiormq
import msgspec

from comporta.domain.event import Record
from comporta.domain.growth import Room
from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.errors import ConfigError, StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.coalescing import Coalescer
from comporta.log.frames import pack
from comporta.log.port import Batch, LogHealth, Receipt
from comporta.log.rabbitmq_address import address_of
from comporta.log.rabbitmq_link import Connection, Link, asking, raise_if_blocked
from comporta.log.rabbitmq_queues import Queues
from comporta.log.rabbitmq_reading import Reader

OPEN_S: Final = 5.0
SEND_S: Final = 5.0
PROBE_S: Final = 1.0
PREPARE_S: Final = 20.0
PROOF_S: Final = 0.5
ANSWER_S: Final = 2.0
MESSAGE_BYTES_MAX: Final = 256 * 1024
"""Of the bodies in one message; a larger one is a message of its own."""
UID_BYTES: Final = 16
_PERSISTENT: Final = 2
_NOTHING: Final = pack([])


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
        if not 1 <= partitions <= PARTITIONS_MAX:
            raise ConfigError(
                _("A log takes 1 to {most} partitions, not {partitions}.").format(
                    most=PARTITIONS_MAX, partitions=partitions
                )
            )
        address = address_of(url)
        self.partitions = partitions
        self._where, self._prefix, self._observe = address.where, address.prefix, observe
        self._queues = Queues(address.where, address.prefix, partitions, body_bytes_max)
        self._channel: aiormq.abc.AbstractChannel | None = None
        self._out = Link(address, "append", self._prepare)
        self._in = Link(address, "read")
        self._reading = False
        self._appends = Coalescer(self._send)
        self._reader = Reader(self._in, self._queues.names)

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
        return self._appends.append(_known(record))

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        self._appends.hand_over(_known(record), receipt)

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
        """See the port. A confirmed message of nothing to a quorum queue beside those of the log.

        It takes the way of an event, with its alarms and its syncs, and leaves the log's queues as
        they are: a probe in those would be waiting there for as long as nobody reads.
        """
        error = await self._publish(self._queues.layout, _NOTHING, PROBE_S)
        if error is not None:
            raise error

    async def _prepare(self, connection: Connection) -> None:
        await self._queues.prepare(connection)
        try:
            async with asking(self._where, PREPARE_S):
                while not await self._proven(connection):
                    pass
        except StoreError:
            raise_if_blocked(self._where, connection)
            raise

    async def _proven(self, connection: Connection) -> bool:
        """Whether each queue confirms a message of nothing, which expires at once.

        What is said to be well shall be well: an alarm shows only when something is published. And
        a queue that has no leader yet loses what it is sent, and then confirms nothing that the
        same channel sends: so each time with another one.
        """
        self._channel = await connection.channel()
        outcomes = await asyncio.gather(
            *[
                _put(self._channel, name, _NOTHING, PROOF_S, expires=True)
                for name in (*self._queues.names, self._queues.layout)
            ],
            return_exceptions=True,
        )
        raise_if_blocked(self._where, connection)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if not isinstance(failure, TimeoutError):
                raise failure
        if failures:
            await self._channel.close()
        return not failures

    async def _send(self, records: Sequence[Record]) -> list[StoreError | None]:
        began = time.perf_counter()
        messages = list(_messages(records))
        names = [self._queues.names[records[message[0]].partition] for message in messages]
        outcomes = await asyncio.gather(
            *[
                self._publish(name, pack([records[index] for index in message]), SEND_S)
                for name, message in zip(names, messages, strict=True)
            ]
        )
        errors: list[StoreError | None] = [None] * len(records)
        for message, outcome in zip(messages, outcomes, strict=True):
            for index in message:
                errors[index] = outcome
        if None in outcomes:
            self._reader.appended({r.partition for r in records})
        if self._observe is not None and not any(outcomes):
            self._observe(len(records), time.perf_counter() - began)
        return errors

    async def _publish(self, queue: str, body: bytes, within_s: float) -> StoreError | None:
        """Publish, and wait for the confirmation; what is wrong, if it does not come."""
        try:
            connection, channel = self._out.live(), self._channel
            raise_if_blocked(self._where, connection)
            async with asking(self._where, within_s):
                await _put(channel, queue, body)
        except aiormq.PublishError:
            return self._lost(self._gone(queue))
        except aiormq.DeliveryError:
            return self._refused(queue)
        except StoreError as error:
            return self._lost(error)
        return None

    def _lost(self, error: StoreError) -> StoreError:
        """Make a new connection, which has not what is wrong with this one; an alarm it would."""
        try:
            raise_if_blocked(self._where, self._out.live())
        except StoreError as why:
            return why
        self._out.drop(error)
        return error

    def _gone(self, queue: str) -> StoreError:
        return StoreUnavailableError(
            _(
                'The queue "{queue}" on RabbitMQ at {where} is gone, and is made again now. The'
                " event is not stored. Find out who deletes the log's queues."
            ).format(queue=queue, where=self._where)
        )

    def _refused(self, queue: str) -> StoreError:
        return StoreUnavailableError(
            _(
                'RabbitMQ at {where} does not take an event into the queue "{queue}". Look at the'
                " policies that hold for it (max-length, overflow), and whether most of its nodes"
                " are there."
            ).format(queue=queue, where=self._where)
        )


async def _put(
    channel: aiormq.abc.AbstractChannel | None,
    queue: str,
    body: bytes,
    within_s: float | None = None,
    *,
    expires: bool = False,
) -> None:
    if channel is None:
        raise aiormq.AMQPConnectionError
    properties = aiormq.spec.Basic.Properties(
        delivery_mode=_PERSISTENT, expiration="0" if expires else None
    )
    await channel.basic_publish(
        body, routing_key=queue, mandatory=True, properties=properties, timeout=within_s
    )


def _known(record: Record) -> Record:
    """The record with an id, by which a second copy is known as a repeat."""
    if record.uid:
        return record
    return msgspec.structs.replace(record, uid=os.urandom(UID_BYTES))


def _messages(records: Sequence[Record]) -> list[list[int]]:
    """The indexes of the records that go into one message, in order for each partition."""
    messages: list[list[int]] = []
    current: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for index, record in enumerate(records):
        size = sizes.get(record.partition, 0) + len(record.body)
        if record.partition not in current or size > MESSAGE_BYTES_MAX:
            current[record.partition], size = [], len(record.body)
            messages.append(current[record.partition])
        current[record.partition].append(index)
        sizes[record.partition] = size
    return messages
