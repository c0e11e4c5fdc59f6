"""Publishing to RabbitMQ: what is told to be durable was confirmed, whatever happens on the way.

A connection is used once each of the log's queues has confirmed something on it. One that does not
confirm in time is thrown away: what became of its messages is not known, and a second copy of a
record is known as a repeat by its id.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import aiormq

from comporta.domain.event import Record
from comporta.errors import StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.frames import pack
from comporta.log.rabbitmq.address import Address
from comporta.log.rabbitmq.link import Connection, Link, asking, raise_if_blocked
from comporta.log.rabbitmq.queues import Queues

SEND_S: Final = 5.0
PROBE_S: Final = 1.0
PREPARE_S: Final = 20.0
PROOF_S: Final = 0.5
MESSAGE_BYTES_MAX: Final = 256 * 1024
"""Of the bodies in one message; a larger one is a message of its own."""
_PERSISTENT: Final = 2
_NOTHING: Final = pack([])


class Writer:
    """Publishes groups of records.

    Args:
        address: of the server.
        queues: of the log.
        appended: called with the partitions of each group of which something became durable.
        observe: see `RabbitLog`.
    """

    def __init__(
        self,
        address: Address,
        queues: Queues,
        appended: Callable[[set[int]], None],
        observe: Callable[[int, float], None] | None,
    ) -> None:
        self.link = Link(address, "append", self._prepare)
        self._where, self._queues = address.where, queues
        self._appended, self._observe = appended, observe
        self._channel: aiormq.abc.AbstractChannel | None = None

    async def probe(self) -> None:
        """See `Broker`. A confirmed message of nothing to a quorum queue beside those of the log.

        It takes the way of an event, with its alarms and its syncs, and leaves the log's queues as
        they are: a probe in those would be waiting there for as long as nobody reads.
        """
        error = await self._publish(self._queues.layout, _NOTHING, PROBE_S)
        if error is not None:
            raise error

    async def send(self, records: Sequence[Record]) -> list[StoreError | None]:
        """See `Coalescer`. All messages of the group are under way together."""
        began = time.perf_counter()
        messages = list(messages_of(records))
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
            self._appended({r.partition for r in records})
        if self._observe is not None and not any(outcomes):
            self._observe(len(records), time.perf_counter() - began)
        return errors

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

    async def _publish(self, queue: str, body: bytes, within_s: float) -> StoreError | None:
        """Publish, and wait for the confirmation; what is wrong, if it does not come."""
        try:
            connection, channel = self.link.live(), self._channel
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
            raise_if_blocked(self._where, self.link.live())
        except StoreError as why:
            return why
        self.link.drop(error)
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


def messages_of(records: Sequence[Record]) -> list[list[int]]:
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
