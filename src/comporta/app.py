"""The composition root: settings → stores → services → ASGI application. It reads like a list."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from comporta import __version__
from comporta.control import control_app
from comporta.dispatch.routing import compile_routing
from comporta.dispatch.worker import Dispatcher
from comporta.domain.fleet import Fleet, Secret
from comporta.errors import ComportaError, ConflictError, StoreUnavailableError
from comporta.fleet.parse import load
from comporta.ingest.accept import Ingest, Limits
from comporta.ingest.directory import Directory
from comporta.ingest.endpoint import WebhookEndpoint
from comporta.ingest.rejected import RejectedRing
from comporta.settings import Settings
from comporta.state.port import WorkerRow
from comporta.stores import Stores, open_stores
from comporta.telemetry import metric_defs as defs
from comporta.telemetry.health import HealthInputs
from comporta.telemetry.metric_defs import MetricDef
from comporta.telemetry.metrics import Metrics, prepare
from comporta.telemetry.tally import Tally

FLEET_POLL_S = 0.25
QUESTION_S = 2.0
RESTART_S = 1.0
PRUNE_PERIOD_S = 5.0
PRUNE_STEP = 200
METRICS_FOLDER = "metrics"
_DAY_MS = 86_400_000
T = TypeVar("T")
_log = structlog.get_logger(__name__)

__all__ = ["create_app", "open_stores"]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Gateway:
    """One worker of the gateway, running."""

    def __init__(self, settings: Settings, stores: Stores, fleet: Fleet, tally: Tally) -> None:
        self._settings, self._stores, self._tally = settings, stores, tally
        self._started_at_ms = _now_ms()
        self._draining = False
        self._change_fleet(fleet)
        self._dispatcher = self._new_dispatcher()
        shared = prepare(settings.data / METRICS_FOLDER)
        self._metrics = Metrics(tally, shared, self._readings)
        self._ring = RejectedRing(stores.state, settings.rejected_max)
        limits = Limits(
            settings.body_bytes_max, settings.pending_bytes_max, settings.signature_tolerance_s
        )
        self.webhooks: ASGIApp = WebhookEndpoint(
            ingest=Ingest(stores.log, lambda: self._directory, limits, tally),
            ring=self._ring,
            tally=tally,
            body_bytes_max=settings.body_bytes_max,
            now_ms=_now_ms,
        )
        self.control: ASGIApp = control_app(self._health, self._metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work in the background while the caller serves; drain at the end."""
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._dispatch()),
                tasks.create_task(self._watch_fleet()),
                tasks.create_task(self._ring.run()),
                tasks.create_task(self._metrics.run()),
                tasks.create_task(self._prune()),
            ]
            yield
            self._draining = True
            await self._dispatcher.drain(self._settings.drain_s)
            for task in background:
                task.cancel()

    # Fleet

    def _change_fleet(self, fleet: Fleet) -> None:
        def open_secret(secret: Secret) -> str:
            return self._stores.vault.open(secret.sealed)

        self._fleet = fleet
        self._directory = Directory(fleet, open_secret)
        self._routing = compile_routing(fleet, open_secret)

    async def _watch_fleet(self) -> None:
        while True:
            await asyncio.sleep(FLEET_POLL_S)
            try:
                if await self._stores.ledger.fleet_version() != self._fleet.version:
                    self._change_fleet(await self._stores.ledger.fleet())
                    self._dispatcher.fleet_changed()
                    _log.info("fleet.changed", version=self._fleet.version)
            except ComportaError as error:
                _log.error("fleet.not_read", error=str(error))

    async def _disable(self, destination_id: str) -> None:
        outbound = self._routing.outbound.get(destination_id)
        if outbound is None or outbound.destination.disabled:
            return
        name, reason = outbound.destination.name, "answered 410 Gone"
        try:
            await self._stores.fleet.disable_destination(name, reason, "gateway")
            _log.error("destination.disabled", destination=name, reason=reason)
        except (ConflictError, StoreUnavailableError) as error:
            _log.error("destination.not_disabled", destination=name, error=str(error))

    # Dispatch

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            log=self._stores.log,
            ledger=self._stores.ledger,
            state=self._stores.state,
            routing=lambda: self._routing,
            gone=self._disable,
            lease_s=self._settings.lease_s,
            concurrency=self._settings.concurrency,
            tally=self._tally,
        )

    async def _dispatch(self) -> None:
        """The supervisor of dispatch: a defect is recorded, and dispatch starts anew."""
        while True:
            try:
                await self._dispatcher.run()
            except Exception:  # noqa: BLE001  (a supervisor: recorded, and done again)
                _log.exception("dispatch.failed")
                self._dispatcher = self._new_dispatcher()
                await asyncio.sleep(RESTART_S)

    async def _prune(self) -> None:
        """Forget what is older than the retention, in small steps, in one worker."""
        while True:
            await asyncio.sleep(PRUNE_PERIOD_S)
            if self._dispatcher.owns(0):
                await self._prune_all()

    async def _prune_all(self) -> None:
        before_ms = _now_ms() - self._settings.retention_days * _DAY_MS
        try:
            while await self._stores.ledger.prune(before_ms, PRUNE_STEP) == PRUNE_STEP:
                await asyncio.sleep(0)
        except StoreUnavailableError as error:
            _log.error("events.not_pruned", error=str(error))

    # Telemetry

    async def _health(self) -> HealthInputs:
        settings, stores = self._settings, self._stores
        return HealthInputs(
            version=__version__,
            now_ms=_now_ms(),
            started_at_ms=self._started_at_ms,
            log=stores.log.health(),
            ledger_engine="sqlite",
            state_engine="sqlite",
            partitions=settings.partitions,
            pending_bytes=stores.log.pending_bytes,
            pending_bytes_max=settings.pending_bytes_max,
            draining=self._draining,
            lag=await _answer(stores.log.lag()),
            totals=await _answer(stores.ledger.totals()),
            workers=await _answer(self._workers()),
            disabled_destinations=tuple(d.name for d in self._fleet.destinations if d.disabled),
        )

    async def _workers(self) -> tuple[WorkerRow, ...]:
        return tuple(await self._stores.state.workers(_now_ms(), self._settings.lease_s))

    async def _readings(self) -> Mapping[MetricDef, float]:
        totals = await self._stores.ledger.totals()
        oldest = totals.oldest_open_at_ms
        return {
            defs.LOG_LAG_ENTRIES: await self._stores.log.lag(),
            defs.DELIVERIES_PENDING: totals.pending,
            defs.DELIVERIES_SCHEDULED: totals.scheduled,
            defs.DELIVERIES_DEAD: totals.dead,
            defs.OLDEST_OPEN_AGE_SECONDS: (_now_ms() - oldest) / 1000 if oldest else 0.0,
            defs.WORKERS: len(await self._workers()),
        }


async def _answer(question: Awaitable[T]) -> T | None:
    """What a store says, or None if it cannot say it in time."""
    try:
        async with asyncio.timeout(QUESTION_S):
            return await question
    except (StoreUnavailableError, TimeoutError):
        return None


class Application:
    """The ASGI application: webhooks go straight to ingest, all else to the control routes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gateway: Gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of an ASGI server."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/webhook") and (len(path) == 8 or path[8] == "/"):  # noqa: PLR2004
                await self._gateway.webhooks(scope, receive, send)
            else:
                await self._gateway.control(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close"})  # before it was accepted: a 403

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._open() as gateway:
                self._gateway = gateway
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except ComportaError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Gateway]:
        tally = Tally()
        async with open_stores(self._settings, tally) as stores:
            if self._settings.fleet is not None:
                declared = load(self._settings.fleet, stores.vault)
                await stores.fleet.apply(declared, "start")
            fleet = await stores.ledger.fleet()
            gateway = Gateway(self._settings, stores, fleet, tally)
            async with gateway.running():
                yield gateway


def create_app(settings: Settings) -> Application:
    """The application for these settings; it opens its stores when the server starts."""
    return Application(settings)
