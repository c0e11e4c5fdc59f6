"""What a command has at hand: the screen, the settings, the stores, and the person to ask.

Tests put their own stores behind it; nothing else in the command line opens a store.
"""

import asyncio
import os
import pwd
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import typer

from comporta.cli.screen import Screen
from comporta.i18n import _
from comporta.ledger.port import Ledger
from comporta.log.port import Log
from comporta.state.port import State

if TYPE_CHECKING:
    from comporta.fleet.service import FleetService
    from comporta.operating.keys import KeyService
    from comporta.settings import Settings
    from comporta.vault import Vault

ASK_S = 30.0
"""Seconds that one question to the stores may take."""


class Stores(Protocol):
    """What `comporta.stores.open_stores` gives."""

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


Opener = Callable[["Settings"], AbstractAsyncContextManager[Stores]]


class RefusedError(Exception):
    """The person said no, or there was nobody to ask."""


class Desk:
    """One command's surroundings.

    Args:
        screen: where results go.
        opener: opens the stores; None: those of the settings.
    """

    def __init__(self, screen: Screen, opener: Opener | None = None) -> None:
        self.screen = screen
        self._opener = opener

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
        """The stores, opened now and closed afterwards.

        Raises:
            StoreError: they cannot be opened.
        """
        async with (self._opener or _open_stores)(self.settings) as stores:
            yield stores

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

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


def _open_stores(settings: "Settings") -> AbstractAsyncContextManager[Stores]:
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
