"""The URL of a Kafka log: where it is, and what librdkafka is told so that our promises hold.

`kafka://[user:password@]host:9092,host:9092/topic?option=value`, where the options are those of
librdkafka (`security.protocol`, `ssl.ca.location`, …). What our promises rest on is refused.
Nothing here connects anywhere.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from comporta.errors import ConfigError
from comporta.i18n import _

RECORD_EXTRA_BYTES = 128 * 1024
"""What a record may have beside its body: its headers, mostly, which the server bounds."""
MESSAGE_TIMEOUT_MS = 5_000
SESSION_TIMEOUT_MS = 6_000
"""The least that brokers allow unless told otherwise: a dead worker's partitions move after it."""
HEARTBEAT_MS = 500
"""By its answers a member hears that partitions are to move, twice for each move."""
PREFETCH_KIB = 16 * 1024
_RECEIVE_BYTES_MIN = 100_000_000
"""librdkafka's own default of receive.message.max.bytes."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
PROBE_KEY = b"probe"
"""Of messages that only find out whether one is confirmed; events have no key."""
Conf = dict[str, str | int | float | bool]

_EVERY: Conf = {
    "allow.auto.create.topics": False,
    "log.connection.close": False,
    "reconnect.backoff.max.ms": 1_000,
    "socket.timeout.ms": 10_000,
    "socket.connection.setup.timeout.ms": 5_000,
}
_PRODUCER: Conf = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": MESSAGE_TIMEOUT_MS,
    "queue.buffering.max.messages": 100_000,
}
_SWIFT: Conf = {"linger.ms": 1, "compression.type": "zstd"}
"""Of the producer, and an operator's to change: no promise rests on them."""
_CONSUMER: Conf = {
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "session.timeout.ms": SESSION_TIMEOUT_MS,
    "heartbeat.interval.ms": HEARTBEAT_MS,
    "queued.max.messages.kbytes": PREFETCH_KIB,
    "fetch.wait.max.ms": 20,
    "fetch.min.bytes": 65_536,
}
_OURS = frozenset({
    *_EVERY,
    *_PRODUCER,
    *_CONSUMER,
    "bootstrap.servers",
    "metadata.broker.list",
    "request.required.acks",
    "delivery.timeout.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "retries",
    "transactional.id",
    "queue.buffering.max.kbytes",
    "message.max.bytes",
    "receive.message.max.bytes",
    "fetch.max.bytes",
    "isolation.level",
    "group.protocol",
    "group.instance.id",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "sasl.username",
    "sasl.password",
})  # fmt: skip


class Place(msgspec.Struct, frozen=True):
    """Which topic on which cluster, and how clients get there."""

    servers: str
    """`host:port` of the brokers to ask first, with commas."""
    topic: str
    group: str
    """The topic's name, unless the URL has a `group.id`: others' topics are not of our group."""
    record_bytes_max: int
    secret: str
    """The password, so that it can be kept out of what librdkafka says; or ""."""
    options: Conf

    def producer(self) -> Conf:
        """What a producer is told."""
        return {
            **self.admin(),
            **_SWIFT,
            **self.options,
            **_PRODUCER,
            "message.max.bytes": self.record_bytes_max,
            "queue.buffering.max.kbytes": max(128 * 1024, 2 * self.record_bytes_max // 1024),
        }

    def consumer(self) -> Conf:
        """What a consumer is told."""
        return {
            **self.admin(),
            **_CONSUMER,
            "group.id": self.group,
            "fetch.max.bytes": max(self.record_bytes_max, PREFETCH_KIB * 1024),
            "receive.message.max.bytes": max(_RECEIVE_BYTES_MIN, 2 * self.record_bytes_max),
        }

    def admin(self) -> Conf:
        """What every client is told, and all that one for administration needs."""
        return {**self.options, **_EVERY, "bootstrap.servers": self.servers}


def place_of(url: str, body_bytes_max: int) -> Place:
    """What a URL says.

    Args:
        url: see the module.
        body_bytes_max: of the largest body that will be appended.

    Raises:
        ConfigError: it names no topic, or sets what Comporta has to set.
    """
    parts = urlsplit(url)
    login, _at, servers = parts.netloc.rpartition("@")
    topic = unquote(parts.path.removeprefix("/"))
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        raise ConfigError(
            _(
                "The URL of the log names no topic that Kafka could have."
                " Write it like kafka://host:9092/comporta: letters, digits, dots, - and _."
            )
        )
    options: Conf = dict(parse_qsl(parts.query, keep_blank_values=True))
    group = str(options.pop("group.id", topic))
    _refuse_ours(options)
    user, _colon, password = login.partition(":")
    return Place(
        servers=servers,
        topic=topic,
        group=group,
        record_bytes_max=body_bytes_max + RECORD_EXTRA_BYTES,
        secret=unquote(password),
        options=_with_login(options, unquote(user), unquote(password)),
    )


def _refuse_ours(options: Mapping[str, object]) -> None:
    if forbidden := sorted(_OURS & options.keys()):
        raise ConfigError(
            _(
                "The URL of the log sets {options}, which what Comporta promises depends on."
                " Take that out of COMPORTA_LOG; user and password stand before the host."
            ).format(options=", ".join(forbidden))
        )


def _with_login(options: Conf, user: str, password: str) -> Conf:
    if not user:
        return options
    # Encrypted unless somebody says otherwise: a password shall not cross a network by accident.
    secure: Conf = {"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"}
    return {**secure, **options, "sasl.username": user, "sasl.password": password}
