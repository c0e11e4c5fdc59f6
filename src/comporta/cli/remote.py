"""A running gateway in the place of local stores: what commands need of it, through its admin API.

Which gateway, and with which key, comes from options and settings; a key is never an argument.
"""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from comporta.cli.remote_alerts import RemoteAlerts
from comporta.cli.remote_fleet import RemoteFleet, RemoteKeys
from comporta.cli.remote_http import Connection
from comporta.cli.remote_ledger import RemoteLedger, RemoteState
from comporta.cli.remote_trials import RemoteTrials
from comporta.fleet.credentials import FILE, from_setting


class Access(msgspec.Struct, frozen=True):
    """Where a gateway is, and the key for it."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Access(url={self.url!r})"

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read the key: TLS, or this very machine."""
        parts = urlsplit(self.url)
        if parts.scheme == "https" or parts.hostname == "localhost":
            return True
        try:
            return ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError:
            return False


def access(url: str, key: str, key_file: Path | None) -> Access:
    """The access that these options and settings mean.

    Args:
        url: of the gateway.
        key: the key, or file:PATH.
        key_file: wins over `key`.

    Raises:
        ConfigError: a file cannot be read.
    """
    if key_file is not None:
        key = f"{FILE}{key_file}"
    return Access(url, from_setting(key))


class RemoteStores:
    """What `comporta.cli.desk.Stores` asks for."""

    def __init__(self, connection: Connection) -> None:
        self.fleet = RemoteFleet(connection)
        self.ledger = RemoteLedger(connection, self.fleet.read)
        self.state = RemoteState(connection)
        self.keys = RemoteKeys(connection)
        self.alerts = RemoteAlerts(connection)
        self.trials = RemoteTrials(connection)


@asynccontextmanager
async def open_remote(where: Access) -> AsyncIterator[RemoteStores]:
    """A running gateway.

    Raises:
        ConfigError: the URL or the key cannot be used.
    """
    connection = Connection(where.url, where.key)
    try:
        yield RemoteStores(connection)
    finally:
        await connection.close()
