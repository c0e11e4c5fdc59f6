"""The stores of a gateway, opened from its settings.

The server and the command line open them alike; only what they do with them differs.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum, auto
from pathlib import Path

from comporta.domain.fleet import Secret
from comporta.domain.growth import Sample
from comporta.engines import path_of
from comporta.errors import ConfigError
from comporta.fleet.service import FleetService
from comporta.i18n import _
from comporta.ledger.admin import AdminLedger
from comporta.ledger.port import Ledger
from comporta.log.port import Log
from comporta.log.spool.file import SpoolFile
from comporta.log.spool.log import SpooledLog
from comporta.makers import broker_at, is_embedded, ledger_at, log_at, state_at
from comporta.operating.alerts import AlertService
from comporta.operating.keys import KeyService
from comporta.operating.trials import TrialService
from comporta.settings import Settings
from comporta.state.port import State
from comporta.telemetry.tally import Tally
from comporta.vault import Vault

MIB = 1024 * 1024


class Use(Enum):
    """What a process opens the stores for."""

    INTAKE = auto()
    """It appends to the log, and sends on what is in the spool."""
    DISPATCH = auto()
    """It reads the log, and takes part in checkpoints and trimming: that keeps them from what
    webhooks wait for."""
    DESK = auto()
    """It asks, and changes what people change."""


class Stores:
    """What is open. The engines are behind their ports; see `open_stores`."""

    def __init__(self, settings: Settings, tally: Tally, use: Use) -> None:
        upkeep = use is Use.DISPATCH
        self.vault = Vault.at(settings)
        self.log = _log(settings, tally, use)
        window_s, observe = settings.dedupe_window_s, _observe_ledger(tally)
        self.ledger = ledger_at(settings.ledger_url, window_s, observe, upkeep=upkeep)
        self.state = state_at(settings.state_url, upkeep=upkeep)
        self.fleet = FleetService(self.ledger, self.vault)
        self.admin: AdminLedger = self.ledger.admin
        self.keys = KeyService(self.admin)
        self.alerts = AlertService(self.ledger.watching)
        self.trials = TrialService(self.ledger, self.vault)

    def open_secret(self, secret: Secret) -> str:
        """A secret of the fleet, unsealed. Raises ConfigError if another key sealed it."""
        return self.vault.open(secret.sealed)


@asynccontextmanager
async def open_stores(
    settings: Settings, tally: Tally | None = None, use: Use = Use.DESK
) -> AsyncIterator[Stores]:
    """Open all stores of these settings, and close them in the opposite order.

    Args:
        settings: which, and where.
        tally: what is counted.
        use: what for.

    Raises:
        ConfigError: the data folder cannot be made, or the key does not fit.
        StoreError: a store cannot be opened.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        said = _("The data folder {path} cannot be made: {reason}. Choose another: COMPORTA_DATA.")
        raise ConfigError(said.format(path=settings.data, reason=error.strerror)) from None
    stores = Stores(settings, tally or Tally(), use)
    async with opened(stores.ledger, stores.state, stores.log):
        yield stores


@asynccontextmanager
async def opened(*stores: Log | Ledger | State) -> AsyncIterator[None]:
    """Open them, in this order, and close in the opposite one those that were opened."""
    async with AsyncExitStack() as stack:
        for store in stores:
            await store.open()
            stack.push_async_callback(store.close)
        yield


async def sample_of(settings: Settings, stores: Stores, now_ms: int) -> Sample:
    """What log and ledger store, and how much more there is room for.

    Raises:
        StoreError: a store does not answer.
        OSError: the folder of a store is gone.
    """
    paths = [Path(path_of(url)) for url in (settings.log_url, settings.ledger_url) if path_of(url)]
    rooms = [await stores.log.room(), await stores.ledger.keeping.room()]
    used_bytes = sum(one.used_bytes for one in rooms)
    if not is_embedded(settings.ledger_url):  # what grows is elsewhere, on a disk that nobody sees
        return Sample(now_ms, used_bytes, None)
    folders = {path.parent for path in paths}
    free_bytes = await asyncio.to_thread(lambda: min(shutil.disk_usage(f).free for f in folders))
    spare_bytes = sum(one.spare_bytes for one in rooms)
    return Sample(now_ms, used_bytes, free_bytes + spare_bytes)


def _log(settings: Settings, tally: Tally, use: Use) -> Log:
    url, observe = settings.log_url, _observe_log(tally)
    partitions, body_bytes_max = settings.partitions, settings.body_bytes_max
    if is_embedded(url):
        return log_at(url, partitions, body_bytes_max, observe, upkeep=use is Use.DISPATCH)
    broker = broker_at(url, partitions, body_bytes_max, observe)
    if use is Use.DISPATCH:
        return broker
    drains = use is Use.INTAKE
    spool = SpoolFile(
        settings.data,
        partitions,
        bytes_max=settings.spool_mib * MIB,
        upkeep=drains,
        observe=observe,
    )
    return SpooledLog(
        broker,
        spool,
        after_s=settings.spool_after_s,
        drains=drains,
        observe=lambda what, events: tally.spool_events.add((what,), events),
    )


def _observe_log(tally: Tally):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def observe(entries: int, seconds: float) -> None:
        tally.log_commits.add()
        tally.log_commit_entries.observe(entries)
        tally.log_commit_seconds.observe(seconds)

    return observe


def _observe_ledger(tally: Tally):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def observe(_jobs: int, seconds: float) -> None:
        tally.ledger_transaction_seconds.observe(seconds)

    return observe
