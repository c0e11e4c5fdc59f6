"""The log's queues on RabbitMQ: which there are, how they have to be, and whether they are so.

One quorum queue a partition: what is confirmed is synced on a majority of its nodes. One consumer
of it is active at a time. A queue of the same kind with a place for each partition, `….layout`,
keeps their number, for an event's partition depends on it; probes are sent there, too.

What a client cannot see: policies. One that limits these queues (`max-length`, `message-ttl`) or
lets them expire makes RabbitMQ throw confirmed events away.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

import aiormq

from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.log.rabbitmq.link import Connection

VERSION_MIN: Final = (3, 10)
LIMITED_SINCE: Final = (4, 0)
"""From here on a message that came back 20 times is thrown away, unless a queue says otherwise."""
OVERHEAD_BYTES: Final = 256 * 1024
"""Of a message beside the one large body that it may hold: small ones, names and headers."""
SIZES_USUAL: Final = ((LIMITED_SINCE, 16 * 1024 * 1024), (VERSION_MIN, 128 * 1024 * 1024))
"""From which version on, and how many bytes a message may have unless it is set up otherwise."""
SAVED_S: Final = 1.5
"""How long after a queue was made nothing is sent to it.

A node keeps its list of quorum queues in a file that it saves after half a second of quiet
(`ra_directory.erl`, `auto_save`): one that dies before has the events, and never finds them again.
"""
_PRODUCT: Final = "RabbitMQ"
_INEQUIVALENT: Final = re.compile(r"inequivalent arg '([^']+)'")
_CURRENT: Final = re.compile(r"current is '(\d+)'")


class Queues:
    """The queues of one log.

    Args:
        where: the server's host and port, for messages.
        prefix: of their names.
        partitions: how many there are.
        body_bytes_max: of the largest event.
    """

    def __init__(self, where: str, prefix: str, partitions: int, body_bytes_max: int) -> None:
        self.names = tuple(f"{prefix}.{partition}" for partition in range(partitions))
        self.layout = f"{prefix}.layout"
        self.warnings: tuple[str, ...] = ()
        self._where = where
        self._message_bytes_max = body_bytes_max + OVERHEAD_BYTES
        self._fits = self._new = False

    async def prepare(self, connection: Connection) -> None:
        """Make what is missing, and check what is there.

        Raises:
            ConfigError: it cannot be trusted with events.
        """
        self._new = False
        version = _version(connection.server_properties, self._where)
        unlimited = version >= LIMITED_SINCE
        await self._declare_layout(connection)
        old = [name for name in self.names if not await self._declare(connection, name, unlimited)]
        self.warnings = tuple(self._limited(name) for name in old[:1])
        if not self._fits and self._message_bytes_max > _size_usual(version):
            await self._check_size(connection)
        self._fits = True
        if self._new:
            await asyncio.sleep(SAVED_S)

    async def _declare_layout(self, connection: Connection) -> None:
        arguments = {"x-queue-type": "quorum", "x-max-length": len(self.names)}
        refused = await self._make(connection, self.layout, arguments)
        made_with = _CURRENT.search(refused)
        if made_with and _about(refused, "x-max-length"):
            raise ConfigError(
                _(
                    "The log on RabbitMQ was made with {made_with} partitions, not {partitions}."
                    " Set partitions = {made_with} again: events may be waiting in them."
                ).format(made_with=made_with.group(1), partitions=len(self.names))
            )
        if refused:
            raise self._unfit(self.layout, refused)

    async def _declare(self, connection: Connection, name: str, unlimited: bool) -> bool:
        """Whether the queue is as it should be; False if it limits redeliveries."""
        arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
        limit = {"x-delivery-limit": -1} if unlimited else {}
        refused = await self._make(connection, name, arguments | limit)
        limited = unlimited and _about(refused, "x-delivery-limit")
        if limited:  # made by a RabbitMQ 3
            refused = await self._make(connection, name, arguments)
        if refused:
            raise self._unfit(name, refused)
        return not limited

    async def _make(self, connection: Connection, name: str, arguments: dict[str, Any]) -> str:
        """Make a durable queue, or find it so; else what the server says is wrong with it."""
        channel = await connection.channel(publisher_confirms=False)
        try:
            await channel.queue_declare(name, passive=True)
        except aiormq.ChannelNotFoundEntity:  # which closes the channel
            self._new = True
            channel = await connection.channel(publisher_confirms=False)
        try:
            await channel.queue_declare(name, durable=True, arguments=arguments)
        except aiormq.ChannelPreconditionFailed as error:
            return str(error) or "PRECONDITION_FAILED"
        await channel.close()
        return ""

    def _unfit(self, name: str, reason: str) -> ConfigError:
        return ConfigError(
            _(
                'The queue "{name}" on RabbitMQ at {where} is not as the log needs it (durable,'
                " x-queue-type=quorum, x-single-active-consumer=true): {reason}. Delete it once it"
                " is empty, or choose other names in COMPORTA_LOG: ?prefix=…"
            ).format(name=name, where=self._where, reason=reason)
        )

    def _limited(self, name: str) -> str:
        return _(
            'delivery-limit: the queue "{name}" and others on RabbitMQ at {where} were made by'
            " version 3, and from version 4 on lose an event that was delivered anew 20 times."
            ' Give them a policy with "delivery-limit": -1.'
        ).format(name=name, where=self._where)

    async def _check_size(self, connection: Connection) -> None:
        # The size is looked at before the route, so nobody gets this.
        channel = await connection.channel()
        try:
            await channel.basic_publish(
                bytes(self._message_bytes_max), routing_key=f"{self.layout}.nowhere"
            )
        except aiormq.ChannelPreconditionFailed as error:
            raise ConfigError(
                _(
                    "RabbitMQ at {where} takes no message of {bytes} bytes, which the largest"
                    " event may need: {reason}. Raise max_message_size in rabbitmq.conf, or lower"
                    " body_bytes_max."
                ).format(where=self._where, bytes=self._message_bytes_max, reason=error)
            ) from None
        await channel.close()


def _size_usual(version: tuple[int, ...]) -> int:
    return next(size for since, size in SIZES_USUAL if version >= since)


def _about(refused: str, argument: str) -> bool:
    found = _INEQUIVALENT.search(refused)
    return found is not None and found.group(1) == argument


def _version(properties: Mapping[str, Any] | None, where: str) -> tuple[int, ...]:
    told = properties or {}
    product, version = _text(told.get("product")), _text(told.get("version"))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if product != _PRODUCT or numbers < VERSION_MIN:
        raise ConfigError(
            _(
                "The server at {where} is {product} {version}. The log needs RabbitMQ"
                " {least} or newer: it keeps events in quorum queues."
            ).format(
                where=where, product=product, version=version, least=".".join(map(str, VERSION_MIN))
            )
        )
    return numbers


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "?")
