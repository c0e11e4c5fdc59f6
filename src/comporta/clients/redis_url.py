"""What a Redis URL says: which servers, how they are met, and where the keys stand.

`redis://`, `rediss://` (TLS), `redis+sentinel://h1:p,h2:p/SERVICE/DB`, `redis+cluster://h1:p,h2:p`.
`?prefix=` is ours; every other option of the query goes to the client. Nothing here connects, and
nothing of a login is ever put into a message.
"""

import re
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec
from redis.asyncio.connection import SSLConnection, parse_url

from comporta.errors import ConfigError
from comporta.i18n import _

PORT, SENTINEL_PORT = 6379, 26379
PREFIX = "comporta"
_PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")
Kind = Literal["plain", "sentinel", "cluster"]


class Address(msgspec.Struct, frozen=True):
    """A URL, taken apart."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    """Of the server, the sentinels, or some nodes of the cluster."""
    prefix: str
    service: str
    """The name that the sentinels know the server by; else ""."""
    tls: bool
    options: dict[str, Any]
    """For the client: login, database, timeouts, TLS."""
    sentinel_options: dict[str, Any]
    """What differs for the sentinels themselves."""

    def __repr__(self) -> str:
        return f"Address({self.where})"

    @property
    def where(self) -> str:
        """The servers' names, as they may be shown."""
        return ", ".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in self.hosts)


def parse_address(url: str) -> Address:
    """Take a URL apart.

    Raises:
        ConfigError: it is not of one of the forms above; the message holds nothing of the login.
    """
    try:
        return _parse(url)
    except (ValueError, TypeError):
        pass
    # Raised outside of the handler: what the parser said may quote a part of the password.
    raise ConfigError(
        _(
            "The Redis URL cannot be read. It looks like redis://user:password@host:6379/0,"
            " redis+sentinel://host:26379,host:26379/service/0 or redis+cluster://host:6379."
            " Special characters of a password are written as %40."
        )
    )


def _parse(url: str) -> Address:
    parts = urlsplit(url)
    scheme, _plus, suffix = parts.scheme.partition("+")
    kind = _kind(scheme, suffix)
    login, at, names = parts.netloc.rpartition("@")
    default = SENTINEL_PORT if kind == "sentinel" else PORT
    hosts = tuple(_host(name, default) for name in names.split(","))
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = query.pop("prefix", PREFIX)
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(
            _(
                "The prefix in the Redis URL has 1 to 64 letters, digits and . _ : -,"
                " such as ?prefix=comporta."
            )
        )
    path = unquote(parts.path).strip("/")
    service, _slash, database = path.partition("/") if kind == "sentinel" else ("", "", path)
    if (kind == "sentinel" and not service) or (database and not database.isdecimal()):
        raise ValueError
    sentinel = {
        name.removeprefix("sentinel_"): query.pop(name)
        for name in ("sentinel_username", "sentinel_password")
        if name in query
    }
    plain = f"{scheme}://{login}{at}{names.split(',')[0]}/{database}?{urlencode(query)}"
    options: dict[str, Any] = dict(parse_url(plain))
    tls = options.pop("connection_class", None) is SSLConnection
    options.pop("host", None)
    options.pop("port", None)
    return Address(kind, hosts, prefix, service, tls, options, sentinel)


def _kind(scheme: str, suffix: str) -> Kind:
    if scheme not in {"redis", "rediss"}:
        raise ValueError
    match suffix:
        case "":
            return "plain"
        case "sentinel":
            return "sentinel"
        case "cluster":
            return "cluster"
    raise ValueError


def _host(text: str, default: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port or default
