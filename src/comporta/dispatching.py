"""The dispatch process: settings → stores → dispatcher. A worker's companion starts it.

It works until its standard input ends, which is when its worker does. Ctrl-C reaches the whole
process group, so SIGINT is the worker's business; SIGTERM makes it drain like the end of input.
"""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import structlog
import uvloop

from comporta import i18n, process
from comporta.alerting.evaluator import Evaluator, PlanFile
from comporta.alerting.looking import Looking, Names
from comporta.chores import Chores
from comporta.clock import now_ms
from comporta.companion import Orders
from comporta.destinations.http import HttpSender
from comporta.dispatch.routing import Routing, compile_routing
from comporta.dispatch.worker import Dispatcher
from comporta.domain.fleet import Fleet
from comporta.duty import Duty
from comporta.enrolment import enrol_handlers
from comporta.errors import ComportaError
from comporta.fleet.watch import FleetWatch
from comporta.handlers.loading import load_handlers
from comporta.handlers.registry import Handler
from comporta.handlers.runner import HandlerRunner
from comporta.roles import Role
from comporta.settings import Settings
from comporta.stores import Stores, Use, open_stores
from comporta.telemetry import logs
from comporta.telemetry.metric_defs import OTHER
from comporta.telemetry.metrics import METRICS_FOLDER, Metrics, prepare
from comporta.telemetry.spans import open_spans
from comporta.telemetry.tally import Tally

NICENESS = 5
MAINTAIN = "maintain"
"""The duty of forgetting what is old."""
OUTCOMES = {True: "taken", False: "failed"}
ALERT = "alert"
"""The duty of looking whether something is wrong, and telling people."""
SIGN_PERIOD_S = 1.0
DRAIN_AFTER_CRASH_S = 2.0
ORDERS_BYTES_MAX = 1024 * 1024
HANDLERS_END_S = 1.0
"""For handlers that were cancelled, after everything else has ended."""
_log = structlog.get_logger(__name__)


class Dispatch:
    """Everything that one dispatch process does."""

    def __init__(
        self,
        settings: Settings,
        orders: Orders,
        stores: Stores,
        tally: Tally,
        handlers: HandlerRunner,
    ) -> None:
        self._settings, self._stores, self._handlers = settings, stores, handlers
        self._routing: Routing
        self._sender = HttpSender()
        self._watch = FleetWatch(stores.ledger, self._compile)
        self._spans = open_spans(
            settings.otel_endpoint, settings.otel_sample, settings.server_name, tally
        )
        self._dispatcher = Dispatcher(
            log=stores.log,
            ledger=stores.ledger,
            state=stores.state,
            routing=lambda: self._routing,
            gone=self._pause,
            server=settings.server_name,
            pid=orders.worker_pid,
            lease_s=settings.lease_s,
            concurrency=settings.concurrency,
            tally=tally,
            spans=self._spans,
        )
        self._roles = settings.role_set
        self._duty = Duty(stores.state, MAINTAIN, settings.lease_s, now_ms)
        self._chores = Chores(settings, stores, lambda: self._duty.mine)
        self._alert_duty = Duty(stores.state, ALERT, settings.lease_s, now_ms)
        self._evaluator = Evaluator(
            file=PlanFile(settings.alerts),
            looking=Looking(stores.log, stores.ledger, stores.state, self._names),
            watching=stores.ledger.watching,
            mine=lambda: self._alert_duty.was_mine,
            sent=lambda name, taken: tally.notifications.add((name, OUTCOMES[taken])),
            now_ms=now_ms,
        )
        shared = prepare(settings.data / METRICS_FOLDER, orders.server_pid)
        self._metrics = Metrics(tally, shared, look=self._dispatcher.look)

    async def run(self, until: Callable[[], Awaitable[float]], signs: int) -> None:
        """Work until `until` is over, then drain for as many seconds as it says.

        Signs of life go to the file descriptor `signs`.

        A defect ends the process, with a traceback in the log, and it is started anew.
        """
        await self._sender.open()
        try:
            await self._watch.load()
            await self._work(until, signs)
        finally:
            await self._sender.close()

    async def _work(self, until: Callable[[], Awaitable[float]], signs: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            work = [self._watch.run(), self._metrics.run(), _give_signs_of_life(signs)]
            if Role.DISPATCH in self._roles:
                work += [self._dispatcher.run(), self._handlers.watch()]
            if self._spans is not None:
                work.append(self._spans.run())
            for_all = []
            if Role.MAINTAIN in self._roles:
                for_all += [self._duty.run(), self._chores.run()]
                for_all += [self._alert_duty.run(), self._evaluator.run()]
            background = [tasks.create_task(one) for one in work]
            duties = [tasks.create_task(one) for one in for_all]
            drain_s = await until()
            for task in duties:
                task.cancel()
            if Role.DISPATCH in self._roles:
                await self._dispatcher.drain(drain_s)
            for task in background:
                task.cancel()

    def _compile(self, fleet: Fleet) -> None:
        self._routing = compile_routing(
            fleet, self._stores.open_secret, self._sender, self._handlers.send
        )
        self._dispatcher.fleet_changed()

    def _names(self) -> Names:
        outbound = self._routing.outbound
        return Names(
            self._routing.instances, {id_: one.destination.name for id_, one in outbound.items()}
        )

    async def _pause(self, destination_id: str) -> None:
        outbound = self._routing.outbound.get(destination_id)
        if outbound is None or outbound.destination.paused:
            return
        name, reason = outbound.destination.name, "answered 410 Gone"
        try:
            await self._stores.fleet.pause_destination(name, reason, "gateway")
            _log.error("destination.paused", destination=name, reason=reason)
        except ComportaError as error:
            _log.error("destination.not_paused", destination=name, error=str(error))


async def _give_signs_of_life(out: int) -> None:
    """See `comporta.companion`. A worker that does not listen is no reason to wait or to fail."""
    os.set_blocking(out, False)
    while True:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(out, b".")
        await asyncio.sleep(SIGN_PERIOD_S)


class _End:
    """When to end, and how long to drain then: what standard input and SIGTERM say."""

    def __init__(self, drain_s: float) -> None:
        self.drain_s = drain_s
        self._came = asyncio.Event()
        self._good_order = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGTERM, self._came.set)
        self._loop.add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        if os.read(sys.stdin.fileno(), 64):
            self._good_order = True
            return
        self._loop.remove_reader(sys.stdin.fileno())
        if not self._good_order:  # the worker was killed: others shall take over soon
            self.drain_s = min(self.drain_s, DRAIN_AFTER_CRASH_S)
        self._came.set()

    async def wait(self) -> float:
        """Wait for the end; seconds to drain."""
        await self._came.wait()
        return self.drain_s


@asynccontextmanager
async def _running(handlers: Sequence[Handler], tally: Tally) -> AsyncIterator[HandlerRunner]:
    runner = HandlerRunner(handlers, lambda name: tally.handler_blocks.add((name or OTHER,)))
    await runner.open()
    try:
        yield runner
    finally:
        await runner.close(HANDLERS_END_S)


async def serve(
    settings: Settings, orders: Orders, handlers: Sequence[Handler], signs: int
) -> None:
    """Dispatch with these settings until standard input ends, or SIGTERM comes.

    Args:
        settings: of the worker.
        orders: what else it said.
        handlers: the functions that are destinations here.
        signs: the file descriptor for signs of life.

    Raises:
        ComportaError: the stores cannot be opened, or a handler's name is taken.
    """
    end = _End(settings.drain_s)
    tally = Tally()
    async with (
        open_stores(settings, tally, Use.DISPATCH) as stores,
        _running(handlers, tally) as runner,
    ):
        await enrol_handlers(stores.fleet, handlers)
        await Dispatch(settings, orders, stores, tally, runner).run(end.wait, signs)


def _apart() -> int:
    """Keep standard output for signs of life; what handlers print goes where log lines go."""
    signs = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return signs


def main() -> None:
    """The process from its orders to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders = msgspec.json.decode(_first_line(), type=Orders)
    settings = Settings(**orders.settings)
    i18n.use(settings.language)
    logs.configure(settings.log_level, server=settings.server_name)
    signs = _apart()
    # Intake goes first: what is in the log can wait, a Chatwoot cannot.
    os.nice(NICENESS)
    try:
        handlers = load_handlers(settings.handlers) if settings.handlers else ()
        process.tune()
        uvloop.run(serve(settings, orders, handlers, signs))
    except ComportaError as error:
        _log.error("dispatch.not_started", error=str(error))
        raise SystemExit(1) from None


def _first_line() -> bytes:
    """The orders, unbuffered: what follows on standard input is only its end."""
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < ORDERS_BYTES_MAX:
        some = os.read(sys.stdin.fileno(), 65536)
        if not some:
            raise SystemExit(0)  # the worker is gone already
        line += some
    return bytes(line)
