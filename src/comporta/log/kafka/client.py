"""What all clients of one Kafka share: how they are made, what they say, and errors in our words.

librdkafka's own lines go to our log, without passwords. Nothing here knows records.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException

from comporta.errors import ConfigError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.kafka.place import Conf, Place

ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001  (the client's own public names)
OUT_OF_RANGE = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001
PARTITION_EOF = KafkaError._PARTITION_EOF  # noqa: SLF001
PURGED = KafkaError._PURGE_QUEUE  # noqa: SLF001
QUIET_S = 60.0
"""How long the same is not said again."""
KINDS_MAX = 64
LOG_LEVEL = 4
"""Syslog's warning. What it says below that is for its own developers."""
_log = structlog.get_logger(__name__)


class _Lines:
    """Takes librdkafka's lines as a `logging.Logger` would."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._said_at: dict[str, float] = {}

    def log(self, _level: int, form: str, *said: object) -> None:
        """A line; `form` is how its parts are put together."""
        text = form % said
        # A broker that is away is complained of at every try to connect, a little differently.
        what, now = text.partition(" (after ")[0], time.monotonic()
        if now - self._said_at.get(what, -QUIET_S) < QUIET_S:
            return
        if len(self._said_at) >= KINDS_MAX:
            self._said_at.clear()
        self._said_at[what] = now
        _log.warning("kafka.said", text=text.replace(self._secret, "***") if self._secret else text)


def told(place: Place, conf: Conf, **callbacks: Callable[..., None]) -> dict[str, Any]:
    """A configuration with what every client of ours has beside it."""
    return {**conf, "log_level": LOG_LEVEL, "logger": _Lines(place.secret), **callbacks}


def reason_of(error: KafkaError | KafkaException) -> str:
    """What Kafka says, without librdkafka's code around it."""
    inner = error.args[0] if isinstance(error, KafkaException) else error
    said = inner.str() if isinstance(inner, KafkaError) else str(inner)
    return said.partition(" (after ")[0].rstrip(".")


def code_of(error: BaseException) -> int:
    """The number that librdkafka gives an error (`KafkaError.…`); 0 if it has none."""
    inner = error.args[0] if error.args else None
    return inner.code() if isinstance(inner, KafkaError) else 0


def unavailable(place: Place, error: KafkaError | KafkaException) -> StoreUnavailableError:
    """An error of Kafka in our words; nothing of it is secret."""
    return StoreUnavailableError(
        _(
            "Kafka at {servers} does not do what it is asked with topic {topic}: {reason}."
            " See that its brokers run and can be reached from here."
        ).format(servers=place.servers, topic=place.topic, reason=reason_of(error))
    )


def misconfigured(error: KafkaException) -> ConfigError:
    """An option of the URL that librdkafka does not take."""
    return ConfigError(
        _(
            "The options of the log's URL cannot be used: {reason}."
            " They are librdkafka's: see its CONFIGURATION page."
        ).format(reason=reason_of(error))
    )
