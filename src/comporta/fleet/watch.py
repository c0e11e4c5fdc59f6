"""Notices a new version of the fleet, in every process, within a second."""

import asyncio
from collections.abc import Callable

import structlog

from comporta.domain.fleet import Fleet
from comporta.errors import ComportaError, StoreUnavailableError
from comporta.fleet.copy import FleetCopy
from comporta.ledger.port import Ledger
from comporta.telemetry.spells import Spell

POLL_S = 0.25
_log = structlog.get_logger(__name__)


class FleetWatch:
    """Looks at the fleet's version several times a second.

    Args:
        ledger: where it stands.
        changed: called with each new version; may refuse it with a ComportaError, which is logged.
        copy: what to start with while the ledger is away; kept up to date.
    """

    def __init__(
        self, ledger: Ledger, changed: Callable[[Fleet], None], copy: FleetCopy | None = None
    ) -> None:
        self._ledger, self._changed, self._copy = ledger, changed, copy
        self.fleet = Fleet()

    async def load(self) -> None:
        """Take the current version. Raises whatever reading or `changed` raise."""
        fleet = await self._ledger.fleet()
        self._changed(fleet)
        self.fleet = fleet
        if self._copy is not None:
            self._copy.write(fleet)

    async def start(self) -> None:
        """Take the current version, or the copy's while the ledger is away."""
        try:
            await self.load()
        except StoreUnavailableError as error:
            fleet = self._copy.read() if self._copy is not None else None
            if fleet is None:
                raise
            _log.error("fleet.from_copy", version=fleet.version, error=str(error))
            self._changed(fleet)
            self.fleet = fleet

    async def run(self) -> None:
        """Watch until cancelled."""
        spell = Spell(_log, "fleet.not_read", "fleet.read_again")
        while True:
            try:
                await self._ledger.fleet_changed(POLL_S)
                if await self._ledger.fleet_version() != self.fleet.version:
                    await self.load()
                    _log.info("fleet.changed", version=self.fleet.version)
            except ComportaError as error:
                spell.failed(error)
                await asyncio.sleep(POLL_S)
            else:
                spell.worked()
