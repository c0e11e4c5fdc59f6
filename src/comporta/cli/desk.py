"""What a command has at hand: the screen, the settings, the stores, and the person to ask.

Tests put their own stores behind it; nothing else in the command line opens a store.
"""

import asyncio
import os
import pwd
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import typer

from comporta.cli.screen import Screen
from comporta.clock import now_ms
from comporta.i18n import _
from comporta.ledger.port import Ledger
from comporta.log.port import Log
from comporta.state.port import State

if TYPE_CHECKING:
    from comporta.cli.remote import Access
    from comporta.cli.remote_alerts import RemoteAlerts
    from comporta.cli.remote_fleet import RemoteFleet, RemoteKeys
    from comporta.cli.remote_ledger import RemoteLedger, RemoteState
    from comporta.cli.remote_trials import RemoteTrials
    from comporta.fleet.service import FleetService
    from comporta.operating.alerts import AlertService
    from comporta.operating.keys import KeyService
    from comporta.operating.trials import TrialService
    from comporta.settings import Settings
    from comporta.vault import Vault

LedgerDesk: TypeAlias = "Ledger | RemoteLedger"
StateDesk: TypeAlias = "State | RemoteState"

ASK_S = 30.0
"""Seconds that one question to the stores may take."""


class Stores(Protocol):
    """What commands work on: local stores, or a running gateway through its API."""

    @property
    def ledger(self) -> "LedgerDesk":
        """The store of record."""
        ...

    @property
    def state(self) -> "StateDesk":
        """What the workers share."""
        ...

    @property
    def fleet(self) -> "FleetService | RemoteFleet":
        """Reads and changes the fleet."""
        ...

    @property
    def keys(self) -> "KeyService | RemoteKeys":
        """Makes and revokes API keys."""
        ...

    @property
    def alerts(self) -> "AlertService | RemoteAlerts":
        """Lists and acknowledges alerts."""
        ...

    @property
    def trials(self) -> "TrialService | RemoteTrials":
        """Tries events on routes and destinations."""
        ...


class LocalStores(Protocol):
    """What `comporta.stores.open_stores` gives: the stores of this machine."""

    @property
    def ledger(self) -> Ledger:
        """The store of record."""
        ...

    @property
    def state(self) -> State:
        """What the workers share."""
        ...

    @property
    def log(self) -> Log:
        """The queue between ingest and dispatch."""
        ...

    @property
    def vault(self) -> "Vault":
        """Seals and opens secrets."""
        ...

    @property
    def fleet(self) -> "FleetService":
        """Reads and changes the fleet."""
        ...

    @property
    def keys(self) -> "KeyService":
        """Makes and revokes API keys."""
        ...

    @property
    def alerts(self) -> "AlertService":
        """Lists and acknowledges alerts."""
        ...

    @property
    def trials(self) -> "TrialService":
        """Tries events on routes and destinations."""
        ...


Opener = Callable[["Settings"], AbstractAsyncContextManager[LocalStores]]


class RefusedError(Exception):
    """The person said no, or there was nobody to ask."""


class Desk:
    """One command's surroundings.

    Args:
        screen: where results go.
        opener: opens the stores; None: those of the settings.
        api: the URL of a gateway to talk to, from the command line; None: the setting's.
        api_key_file: where the key for it is; None: as the settings say.
    """

    def __init__(
        self,
        screen: Screen,
        opener: Opener | None = None,
        api: str | None = None,
        api_key_file: Path | None = None,
    ) -> None:
        self.screen = screen
        self._opener = opener
        self._api, self._api_key_file = api, api_key_file

    @cached_property
    def settings(self) -> "Settings":
        """The settings of this process.

        Raises:
            ConfigError: one of them cannot be used.
        """
        from comporta.settings import Settings  # noqa: PLC0415  (heavy; `version` needs none)

        return Settings()

    @asynccontextmanager
    async def stores(self) -> AsyncIterator[Stores]:
        """What there is to work on, opened now and closed afterwards.

        Raises:
            StoreError: local stores cannot be opened.
            ConfigError: a gateway is to be asked, and its URL or key cannot be used.
        """
        where = self._access()
        if where is None:
            async with self.local_stores() as stores:
                yield stores
            return
        from comporta.cli.remote import open_remote  # noqa: PLC0415  (brings in aiohttp)

        if not where.is_private:
            self.screen.note(_("Warning: the API key travels unencrypted; use https://"))
        async with open_remote(where) as remote:
            yield remote

    @asynccontextmanager
    async def local_stores(self) -> AsyncIterator[LocalStores]:
        """The stores of this machine, opened now and closed afterwards.

        Raises:
            StoreError: they cannot be opened.
        """
        async with (self._opener or _open_stores)(self.settings) as stores:
            yield stores

    @property
    def gateway_url(self) -> str:
        """Where the gateway answers that is asked, or the one of this machine."""
        where = self._access()
        return where.url.rstrip("/") if where else f"http://127.0.0.1:{self.settings.port}"

    @property
    def is_here(self) -> bool:
        """Whether the stores of this machine are asked."""
        return self._access() is None

    def _access(self) -> "Access | None":
        url = self._api if self._api is not None else self.settings.api
        if not url:
            return None
        from comporta.cli.remote import access  # noqa: PLC0415

        return access(url, self.settings.api_key.get_secret_value(), self._api_key_file)

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return now_ms()

    @property
    def who(self) -> str:
        """The person, for the record of changes."""
        try:
            return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
        except KeyError:  # a container's user without a name
            return f"cli:{os.getuid()}"

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only if the person agrees; `yes` is their `--yes`.

        Raises:
            RefusedError: they do not, or nobody is there.
        """
        if yes:
            return
        if not self.screen.interactive:
            raise RefusedError(_("Nobody can be asked here. Add --yes to go ahead."))
        if not typer.confirm(question):
            raise RefusedError(_("Nothing was changed."))


def _open_stores(settings: "Settings") -> AbstractAsyncContextManager[LocalStores]:
    import structlog  # noqa: PLC0415

    from comporta.stores import open_stores  # noqa: PLC0415  (brings in the engines)
    from comporta.telemetry import logs  # noqa: PLC0415

    # Whoever asks is answered with a sentence; lines are for a server, which has its own level.
    if not structlog.is_configured():
        logs.configure("critical")
    return open_stores(settings)


def deadline(seconds: float = ASK_S) -> asyncio.Timeout:
    """A limit in seconds on one question to the stores."""
    return asyncio.timeout(seconds)
