"""How the URL of a RabbitMQ is written, and what is taken from it.

All options but `prefix` are the client's (aiormq); one that it does not know would be passed over
in silence, so it is refused here.
"""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec
from yarl import URL

from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.words import did_you_mean

PREFIX: Final = "comporta.log"
HEARTBEAT_S: Final = 2
"""The server lets go of a silent reader within three of these: others shall go on within 10 s."""
_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_OPTIONS: Final = (
    "auth",
    "cadata",
    "cafile",
    "capath",
    "certfile",
    "heartbeat",
    "keyfile",
    "no_verify_ssl",
    "prefix",
)
_PREFIX_PATTERN: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


class Address(msgspec.Struct, frozen=True):
    """Where the server is, and the names of the log's queues begin with what."""

    url: str
    """For the client; with the password: never show it."""
    where: str
    """For people: host and port."""
    prefix: str


def address_of(url: str) -> Address:
    """What an `amqp://` or `amqps://` URL says.

    Raises:
        ConfigError: an option that does not exist, or a prefix that is none.
    """
    whole = URL(url)
    options = dict(whole.query)
    for option in options:
        if option not in _OPTIONS:
            said = _("COMPORTA_LOG has an option that RabbitMQ's client does not know: {option}.")
            hint = did_you_mean(option, list(_OPTIONS))
            raise ConfigError(f"{said.format(option=option)} {hint}".strip())
    prefix = options.pop("prefix", PREFIX)
    if not _PREFIX_PATTERN.fullmatch(prefix):
        raise ConfigError(
            _(
                "The prefix of RabbitMQ's queues has 1 to 100 letters, digits, dots, hyphens and"
                " underscores. Write it so in COMPORTA_LOG: ?prefix={example}"
            ).format(example=PREFIX)
        )
    options.setdefault("heartbeat", str(HEARTBEAT_S))
    port = urlsplit(url).port or _PORTS[whole.scheme]
    where = f"{whole.host}:{port}"
    return Address(str(whole.with_query(options)), where, prefix)
