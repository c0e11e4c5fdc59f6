"""The composition root of a worker: settings → stores → ingest → ASGI application, like a list.

A worker takes webhooks in and answers questions about health; its companion process dispatches.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from comporta import __version__
from comporta.alerting.answers import Answered
from comporta.alerting.kept import read as read_alerts
from comporta.alerting.model import Kind
from comporta.alerting.report import Report
from comporta.clock import now_ms
from comporta.companion import Companion
from comporta.console.app import console_app, elsewhere
from comporta.console.desk import Desk
from comporta.control import control_app
from comporta.domain.breaker import CLOSED, BreakerState
from comporta.domain.diagnosis import ANSWER_LATE_S
from comporta.domain.fleet import Fleet
from comporta.domain.growth import Growth, growth_of
from comporta.errors import ComportaError, FleetError, StoreError, StoreUnavailableError
from comporta.fleet.copy import FleetCopy
from comporta.fleet.credentials import from_setting
from comporta.fleet.parse import load
from comporta.fleet.watch import FleetWatch
from comporta.i18n import _
from comporta.ingest.accept import Answer, Ingest, Limits, RawHeaders
from comporta.ingest.admission import Admission
from comporta.ingest.directory import Directory
from comporta.ingest.endpoint import WebhookEndpoint
from comporta.ingest.rejected import RejectedRing
from comporta.leaving import Leaving
from comporta.log.spool.log import SpooledLog
from comporta.presence import keep_present
from comporta.roles import Role
from comporta.serving import Take
from comporta.settings import Settings, environment, networks
from comporta.state.port import WorkerRow
from comporta.stores import Stores, Use, open_stores
from comporta.telemetry import metric_defs as defs
from comporta.telemetry.access import AccessLog
from comporta.telemetry.health import HealthInputs
from comporta.telemetry.metric_defs import MetricDef
from comporta.telemetry.metrics import METRICS_FOLDER, Metrics, Reading, prepare
from comporta.telemetry.spans import open_spans
from comporta.telemetry.tally import LabelValues, Tally

QUESTION_S = 2.0
LAG_READING_S = 0.5
"""A scrape has two seconds for everything."""
FLEET_COPY = "fleet.json"
BESIDE = {Role.DISPATCH, Role.MAINTAIN}
"""What is done in the process beside a worker."""
INTAKE = ("intake_bytes",)
BREAKER_STATES = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 1.0, BreakerState.OPEN: 2.0}
"""What they are in numbers, for metrics: the higher, the worse."""
KILL_AFTER_S = 2.0
"""Beyond the time that dispatch has to drain."""
PARENT_LOOK_S = 0.5
T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Gateway:
    """One worker of the gateway, running."""

    def __init__(self, settings: Settings, stores: Stores, tally: Tally) -> None:
        self._settings, self._stores = settings, stores
        self._roles = settings.role_set
        self._started_at_ms = now_ms()
        self._draining = False
        self._directory: Directory
        copy = FleetCopy(settings.data / FLEET_COPY)
        self._watch = FleetWatch(stores.ledger, self._compile, copy)
        # The workers of one server share a parent; a worker alone is its own server.
        parent = multiprocessing.parent_process()
        server_pid = (parent.pid if parent else None) or os.getpid()
        self._server_pid = server_pid
        self._companion = Companion(settings, server_pid, os.getpid())
        inherited = environment("LISTEN_FDS") is not None
        self.leaving = Leaving(settings.leave_s, inherited, self._companion.kill)
        shared = prepare(settings.data / METRICS_FOLDER, server_pid)
        self._tally = tally
        self._metrics = Metrics(tally, shared, self._readings, self._look)
        self._ring = RejectedRing(stores.state, settings.rejected_max)
        limits = Limits(settings.body_bytes_max, settings.signature_tolerance_s)
        admission = Admission(settings.pending_bytes_max, lambda: stores.log.pending_bytes)
        access = AccessLog(settings.access_log_sample)
        self._spans = open_spans(
            settings.otel_endpoint, settings.otel_sample, settings.server_name, tally
        )
        self.ingest = Ingest(
            stores.log, lambda: self._directory, admission, limits, tally, access, self._spans
        )
        self.webhooks: ASGIApp = WebhookEndpoint(
            ingest=self.ingest,
            ring=self._ring,
            tally=tally,
            admission=admission,
            access=access,
            now_ms=now_ms,
            open_=Role.INGEST in self._roles,
        )
        self._report = Report(
            stores.ledger.watching, settings.server_name, settings.data, self._answered, now_ms
        )
        self.control: ASGIApp = control_app(
            self._health, self._metrics, from_setting(settings.metrics_token.get_secret_value())
        )
        desk = Desk(stores, settings.shown_url, settings.lease_s, now_ms)
        self.console: ASGIApp = console_app(desk) if Role.CONSOLE in self._roles else elsewhere

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work in the background while the caller serves; drain at the end."""
        await self._watch.start()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self._watch.run()),
                tasks.create_task(self._ring.run()),
                tasks.create_task(self._metrics.run()),
                tasks.create_task(self._report.run()),
            ]
            if self._spans is not None:
                background.append(tasks.create_task(self._spans.run()))
            companions = [tasks.create_task(self._companion.run())] if self._roles & BESIDE else []
            if Role.DISPATCH not in self._roles:
                present = keep_present(self._stores.state, self._row, self._settings.lease_s)
                background.append(tasks.create_task(present))
            if self._server_pid != os.getpid():
                background.append(tasks.create_task(_end_with(self._server_pid)))
            try:
                yield
            finally:
                self._draining = True
                for companion in companions:
                    companion.cancel()
                await self._companion.finish(self._settings.drain_s + KILL_AFTER_S)
                for task in background:
                    task.cancel()

    def _compile(self, fleet: Fleet) -> None:
        self._directory = Directory(fleet, self._stores.open_secret)

    async def _health(self) -> HealthInputs:
        settings, stores = self._settings, self._stores
        return HealthInputs(
            version=__version__,
            now_ms=now_ms(),
            started_at_ms=self._started_at_ms,
            log=stores.log.health(),
            ledger_engine=stores.ledger.engine,
            state_engine=stores.state.engine,
            partitions=settings.partitions,
            pending_bytes=stores.log.pending_bytes,
            pending_bytes_max=settings.pending_bytes_max,
            draining=self._draining or self.leaving.announced,
            ingests=Role.INGEST in self._roles,
            lag=await _answer(stores.log.lag()),
            totals=await _answer(stores.ledger.totals()),
            workers=await _answer(self._workers()),
            growth=await _answer(self._growth()),
            paused_destinations=tuple(
                one.name for one in self._watch.fleet.destinations if one.paused
            ),
            deferred_destinations=await self._deferred(),
            state_warnings=tuple(stores.state.warnings),
            silent_notifiers=await self._silent_notifiers(),
        )

    async def _silent_notifiers(self) -> tuple[str, ...]:
        """The notifiers that nobody is told by."""
        found = await _answer(read_alerts(self._stores.ledger.watching))
        if found is None:
            return ()
        wrong = [one.finding for one in found[0].alerts if one.is_open]
        return tuple(one.subject for one in wrong if one.kind is Kind.NOTIFIER)

    async def _deferred(self) -> dict[str, str]:
        """Name → reason, of the destinations whose breaker is not closed."""
        names = {one.id: one.name for one in self._watch.fleet.destinations}
        breakers = await _answer(self._stores.state.breakers()) or {}
        return {names[id_]: one.reason for id_, one in breakers.items() if id_ in names}

    async def _workers(self) -> tuple[WorkerRow, ...]:
        return tuple(await self._stores.state.workers(now_ms(), self._settings.lease_s))

    def _row(self) -> WorkerRow:
        """This worker, as others see it if it dispatches nothing."""
        settings, pid = self._settings, os.getpid()
        id_ = f"wrk_{self._started_at_ms:x}_{pid}_{settings.server_name}"
        started_at_ms = self._started_at_ms
        return WorkerRow(
            id_, pid, started_at_ms, now_ms(), 0, settings.server_name, dispatches=False
        )

    async def _growth(self) -> Growth | None:
        return growth_of(await self._stores.ledger.keeping.samples())

    def _look(self) -> None:
        self._tally.queue_depth.set(self._stores.log.pending_bytes, INTAKE)
        self._tally.queue_high_water.set(self._settings.pending_bytes_max, INTAKE)

    async def _readings(self) -> Mapping[MetricDef, Reading]:
        totals = await self._stores.ledger.totals()
        oldest = totals.oldest_open_at_ms
        growth = await self._growth()
        states = await self._breaker_states()
        known: dict[MetricDef, Reading | None] = {
            # A log whose server is away shall not keep back what the others know.
            defs.LOG_LAG_ENTRIES: await _answer(self._stores.log.lag(), LAG_READING_S),
            **self._spool_readings(),
            defs.BREAKER_STATE: states,
            defs.ALERTS_FIRING: await self._alerts_firing(),
            defs.DESTINATIONS_DEFERRED: None if states is None else sum(map(bool, states.values())),
            defs.STORED_BYTES: growth.stored_bytes if growth else None,
            defs.DISK_FREE_BYTES: growth.free_bytes if growth else None,
            defs.STORED_GROWTH_BYTES: growth.bytes_a_day if growth else None,
            defs.DISK_LEFT_SECONDS: growth.days_left * 86_400
            if growth and growth.days_left is not None
            else None,
        }
        return {name: value for name, value in known.items() if value is not None} | {
            defs.DELIVERIES_PENDING: totals.pending,
            defs.DELIVERIES_SCHEDULED: totals.scheduled,
            defs.DELIVERIES_DEAD: totals.dead,
            defs.OLDEST_OPEN_AGE_SECONDS: (now_ms() - oldest) / 1000 if oldest else 0.0,
            defs.WORKERS: sum(one.dispatches for one in await self._workers()),
            defs.BUILD_INFO: {(__version__,): 1.0},
        }

    async def _answered(self) -> Answered:
        counts = dict((await self._metrics.counted()).get(defs.ACK_SECONDS.name, [])).get((), [0.0])
        late_from = defs.ACK_SECONDS.buckets.index(ANSWER_LATE_S) + 1
        return Answered(int(sum(counts[:-1])), int(sum(counts[late_from:-1])))

    async def _breaker_states(self) -> dict[LabelValues, float] | None:
        breakers = await _answer(self._stores.state.breakers())
        if breakers is None:
            return None
        return {
            (one.name,): BREAKER_STATES[breakers.get(one.id, CLOSED).state]
            for one in self._watch.fleet.destinations
        }

    async def _alerts_firing(self) -> dict[LabelValues, float] | None:
        found = await _answer(read_alerts(self._stores.ledger.watching))
        if found is None:
            return None
        kinds = [one.finding.kind for one in found[0].alerts if one.is_open]
        return {(kind.value,): float(kinds.count(kind)) for kind in Kind}

    def _spool_readings(self) -> dict[MetricDef, Reading | None]:
        log = self._stores.log
        if not isinstance(log, SpooledLog):
            return {}
        return {defs.SPOOL_ENTRIES: log.waiting, defs.SPOOL_ACTIVE: float(log.active)}


async def _end_with(server_pid: int) -> None:
    """End in good order once the server's first process is gone.

    Nobody would stop this worker or start it anew, and it would hold the port against a new server.
    """
    while os.getppid() == server_pid:
        await asyncio.sleep(PARENT_LOOK_S)
    _log.error("worker.orphaned", server_pid=server_pid)
    os.kill(os.getpid(), signal.SIGTERM)


async def _answer(question: Awaitable[T], within_s: float = QUESTION_S) -> T | None:
    """What a store says, or None if it cannot say it in time."""
    try:
        async with asyncio.timeout(within_s):
            return await question
    except (StoreError, TimeoutError):
        return None


async def _apply_fleet(path: Path, stores: Stores) -> None:
    """Apply the fleet file of the settings.

    Raises:
        FleetError: it is wrong, or leaves a token out, which nobody would see when it is made.
    """
    declared = load(path, stores.vault)
    shown = (await stores.fleet.plan(declared)).shown
    if shown:
        said = _("The source {source} has no token, and nobody would see one that is made now.")
        hint = _("Give it one, or apply the file once with: comporta apply {path}")
        name = f"{shown[0].instance}/{shown[0].source}"
        raise FleetError(said.format(source=name), str(path), hint=hint.format(path=path))
    await stores.fleet.apply(declared, "start")


class Application:
    """The ASGI application: webhooks go straight to ingest, others to the admin API or control."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gateway: Gateway
        trusted = [one for one in networks(settings.trusted_proxies) if one != "none"]
        self._behind_proxies: Any = ProxyHeadersMiddleware(self._route, trusted)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of an ASGI server."""
        if scope["type"] == "http":
            await self._behind_proxies(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close"})  # before it was accepted: a 403

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith("/webhook") and (len(path) == 8 or path[8] == "/"):  # noqa: PLR2004
            await self._gateway.webhooks(scope, receive, send)
        elif path.startswith("/api/"):
            await self._gateway.console(scope, receive, send)
        else:
            await self._gateway.control(scope, receive, send)

    @property
    def short_way(self) -> Take:
        """What takes plain webhooks in, without ASGI; nothing where the roles leave ingest out."""
        return self.take if Role.INGEST in self._settings.role_set else _take_nothing

    def take(self, url: bytes, headers: RawHeaders, body: bytes, answer: Answer) -> bool:
        """The short way in; see `comporta.serving.Take`."""
        path, _, query = url.partition(b"?")
        if b"%" in path or (len(path) > 8 and path[8] != 47):  # noqa: PLR2004  (/webhook and /)
            return False
        return self._gateway.ingest.take(path.decode("latin-1"), query, headers, body, answer)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        started = False
        try:
            async with self._open() as gateway:
                self._gateway = gateway
                gateway.leaving.install()
                await send({"type": "lifespan.startup.complete"})
                started = True
                await receive()
        except Exception as error:  # noqa: BLE001  (a defect: say so, and do not serve without it)
            if not isinstance(error, ComportaError):
                _log.exception("gateway.failed")
            if not started:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            # What is under way is finished; then uvicorn's supervisor, or systemd, starts it anew.
            os.kill(os.getpid(), signal.SIGTERM)
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Gateway]:
        tally = Tally()
        async with open_stores(self._settings, tally, Use.INTAKE) as stores:
            if self._settings.fleet is not None:
                try:
                    await _apply_fleet(self._settings.fleet, stores)
                except StoreUnavailableError as error:
                    # The next start applies it; until then the fleet is what it was.
                    _log.error("fleet.not_applied", error=str(error))
            gateway = Gateway(self._settings, stores, tally)
            async with gateway.running():
                yield gateway


def _take_nothing(_url: bytes, _headers: RawHeaders, _body: bytes, _answer: Answer) -> bool:
    return False


def create_app(settings: Settings) -> Application:
    """The application for these settings; it opens its stores when the server starts."""
    return Application(settings)
