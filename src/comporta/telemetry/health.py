"""Whether the gateway is well, told from what its stores answered: pure, asks nothing itself.

"down": nothing can be accepted. "degraded": events are accepted, but somebody should look. A store
that did not answer in time is given as None. Machines get JSON in English; people get text in their
language.
"""

from collections.abc import Callable

import msgspec

from comporta.domain.growth import Growth
from comporta.i18n import translate
from comporta.ledger.port import LedgerTotals
from comporta.log.port import LogHealth
from comporta.state.port import WorkerRow

Translate = Callable[[str], str]

LAG_DEGRADED = 10_000
"""Entries; more than this in the log means that dispatch does not keep up."""
DAYS_LEFT_WARN = 7.0
DAYS_LEFT_MIN = 1.0
"""Until the disk is full; see `comporta doctor`."""


class HealthInputs(msgspec.Struct, frozen=True):
    """What is known at this moment."""

    version: str
    now_ms: int
    started_at_ms: int
    """Of the process that answers."""
    log: LogHealth
    ledger_engine: str
    state_engine: str
    partitions: int
    """How many there are."""
    pending_bytes: int
    """Accepted by the log's `append` and not yet durable."""
    pending_bytes_max: int
    """The high-water mark."""
    draining: bool = False
    ingests: bool = True
    """Whether this server takes webhooks in; if not, it is ready without being able to."""
    lag: int | None = None
    totals: LedgerTotals | None = None
    workers: tuple[WorkerRow, ...] | None = None
    growth: Growth | None = None
    paused_destinations: tuple[str, ...] = ()
    """Names."""
    deferred_destinations: dict[str, str] = {}
    """Name → what fails, of those whose circuit breaker is not closed."""
    state_warnings: tuple[str, ...] = ()
    """See `State.warnings`."""
    silent_notifiers: tuple[str, ...] = ()
    """Names of those that cannot be reached."""


class Engines(msgspec.Struct, frozen=True):
    """Which engine is behind each port."""

    log: str
    ledger: str
    state: str


class WorkerHealth(msgspec.Struct, frozen=True):
    """One worker. `beat_age_s`: since it was last heard of."""

    server: str
    pid: int
    uptime_s: float
    beat_age_s: float
    partitions: int


class HealthReport(msgspec.Struct, frozen=True):
    """The answer of `/health`. None: could not be found out in time."""

    status: str
    """ok, degraded or down."""
    version: str
    uptime_s: float
    engines: Engines
    problems: tuple[str, ...]
    """Whole sentences: what is wrong and what to do; empty if all is well."""
    warnings: tuple[str, ...]
    """Settings of an engine's server that weaken what is promised; the verdict leaves them out."""
    lag: int | None
    pending: int | None
    scheduled: int | None
    dead: int | None
    oldest_pending_age_s: float | None
    """Of the oldest delivery that is still open; 0 if there is none."""
    stored_bytes: int | None
    """By the stores' files, at the last sample."""
    growth_bytes_a_day: float | None
    """None also while too little is known."""
    free_bytes: int | None
    """On their disk, at the last sample."""
    days_left: float | None
    """Until the disk is full at the present rate; None also if that is not in sight."""
    workers: tuple[WorkerHealth, ...] | None


class Readiness(msgspec.Struct, frozen=True):
    """Whether a load balancer should send webhooks here. `reasons` is empty if so."""

    ready: bool
    reasons: tuple[str, ...]


def readiness(inputs: HealthInputs, language: str = "en") -> Readiness:
    """Decide from what accepting needs, and only that: a ledger that is away stops no intake."""
    reasons = tuple(_stoppers(inputs, lambda message: translate(message, language)))
    return Readiness(not reasons, reasons)


def report(inputs: HealthInputs, language: str = "en") -> HealthReport:
    """Put the report together, its problems told in `language`."""

    def tell(message: str) -> str:
        return translate(message, language)

    broken = [inputs.log.error] if inputs.log.error else []
    worries = _worries(inputs, tell)
    totals, growth = inputs.totals, inputs.growth
    return HealthReport(
        status="down" if broken else "degraded" if worries else "ok",
        version=inputs.version,
        uptime_s=_seconds(inputs.started_at_ms, inputs.now_ms),
        engines=Engines(inputs.log.engine, inputs.ledger_engine, inputs.state_engine),
        problems=(*broken, *worries),
        warnings=(*inputs.log.warnings, *inputs.state_warnings),
        lag=inputs.lag,
        pending=totals.pending if totals else None,
        scheduled=totals.scheduled if totals else None,
        dead=totals.dead if totals else None,
        oldest_pending_age_s=_oldest_age_s(inputs),
        stored_bytes=growth.stored_bytes if growth else None,
        growth_bytes_a_day=growth.bytes_a_day if growth else None,
        free_bytes=growth.free_bytes if growth else None,
        days_left=growth.days_left if growth else None,
        workers=_workers(inputs),
    )


def as_json(report: HealthReport | Readiness) -> bytes:
    """For machines."""
    return msgspec.json.encode(report)


def as_text(report: HealthReport, language: str = "en") -> str:
    """For people: a few lines, the verdict first."""

    def _(message: str) -> str:
        return translate(message, language)

    verdicts = {"ok": _("All is well."), "degraded": _("Degraded."), "down": _("Down.")}
    unknown = _("unknown")
    engines = report.engines
    rows = [
        (_("version"), report.version),
        (_("up for"), _("{seconds:.0f} s").format(seconds=report.uptime_s)),
        (_("engines"), f"log {engines.log} · ledger {engines.ledger} · state {engines.state}"),
        (_("lag"), _known(report.lag, unknown)),
        (_("pending"), _known(report.pending, unknown)),
        (_("scheduled"), _known(report.scheduled, unknown)),
        (_("dead letters"), _known(report.dead, unknown)),
        (_("oldest pending, s"), _known(report.oldest_pending_age_s, unknown)),
        (_("stored, MiB"), _known(_mib(report.stored_bytes), unknown)),
        (_("growth a day, MiB"), _known(_mib(report.growth_bytes_a_day), _("not enough yet"))),
        (_("free, MiB"), _known(_mib(report.free_bytes), unknown)),
        (_("days left"), _known(report.days_left, _days_left_unknown(report, _))),
        (_("workers"), _known(None if report.workers is None else len(report.workers), unknown)),
    ]
    width = max(len(name) for name, _value in rows)
    told = (*report.problems, *report.warnings)
    lines = [f"Comporta: {verdicts[report.status]}", *(f"  ! {line}" for line in told)]
    return "\n".join([*lines, *(f"  {name:<{width}}  {value}" for name, value in rows), ""])


def wants_text(accept: str) -> bool:
    """Whether an `Accept` header prefers text to JSON; JSON if it does not say."""
    weights = {"application/json": 0.0, "text/plain": 0.0}
    for part in accept.lower().split(",")[:20]:
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        name = "text/plain" if kind in {"text/html", "text/*"} else kind
        if name in weights:
            weights[name] = max(weights[name], _weight(parameters))
    return weights["text/plain"] > weights["application/json"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, number = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(number)
            except ValueError:
                return 0.0
    return 1.0


def _stoppers(inputs: HealthInputs, _: Translate) -> list[str]:
    reasons = []
    if inputs.log.error and inputs.ingests:
        reasons.append(inputs.log.error)
    if inputs.draining:
        reasons.append(_("Shutting down: no new events are taken in."))
    if inputs.pending_bytes >= inputs.pending_bytes_max:
        reasons.append(_("More is arriving than can be stored; waiting for the disk to catch up."))
    return reasons


def _worries(inputs: HealthInputs, _: Translate) -> list[str]:
    worries = [reason for reason in _stoppers(inputs, _) if reason != inputs.log.error]
    if inputs.log.degraded:
        worries.append(inputs.log.degraded)
    if inputs.totals is None:
        worries.append(_("The ledger does not answer; events are accepted and wait in the log."))
    if inputs.lag is not None and inputs.lag > LAG_DEGRADED:
        text = _("{lag} events wait to be dispatched: more arrive than are taken over.")
        worries.append(text.format(lag=inputs.lag))
    worries += _worker_worries(inputs, _)
    days_left = inputs.growth.days_left if inputs.growth else None
    if days_left is not None and days_left < DAYS_LEFT_WARN:
        text = _("The disk will be full in {days} days at the present rate. See `comporta doctor`.")
        worries.append(text.format(days=f"{days_left:.1f}"))
    if inputs.paused_destinations:
        text = _("Paused destinations: {names}. See `comporta destination list`.")
        worries.append(text.format(names=", ".join(inputs.paused_destinations)))
    for name, reason in inputs.deferred_destinations.items():
        text = _(
            "Everything fails at {name} ({reason}); its deliveries wait until a probe succeeds."
        )
        worries.append(text.format(name=name, reason=reason))
    if inputs.silent_notifiers:
        text = _("Nobody is told of alerts by {names}. See `comporta alerts`.")
        worries.append(text.format(names=", ".join(inputs.silent_notifiers)))
    return worries


def _worker_worries(inputs: HealthInputs, _: Translate) -> list[str]:
    if inputs.workers is None:
        return [_("The shared state does not answer; nobody knows which workers live.")]
    if not any(worker.dispatches for worker in inputs.workers):
        return [_("No worker delivers events right now.")]
    free = inputs.partitions - sum(worker.partitions for worker in inputs.workers)
    if free > 0:
        return [_("{count} partitions have no worker yet.").format(count=free)]
    return []


def _workers(inputs: HealthInputs) -> tuple[WorkerHealth, ...] | None:
    if inputs.workers is None:
        return None
    return tuple(
        WorkerHealth(
            row.server,
            row.pid,
            _seconds(row.started_at_ms, inputs.now_ms),
            _seconds(row.beat_at_ms, inputs.now_ms),
            row.partitions,
        )
        for row in inputs.workers
    )


def _oldest_age_s(inputs: HealthInputs) -> float | None:
    if inputs.totals is None:
        return None
    oldest = inputs.totals.oldest_open_at_ms
    return 0.0 if oldest is None else _seconds(oldest, inputs.now_ms)


def _days_left_unknown(report: HealthReport, _: Translate) -> str:
    return _("not enough yet") if report.growth_bytes_a_day is None else _("no end in sight")


def _mib(size: float | None) -> float | None:
    return None if size is None else size / 1024**2


def _seconds(from_ms: int, to_ms: int) -> float:
    return max(0, to_ms - from_ms) / 1000


def _known(value: float | None, unknown: str) -> str:
    return unknown if value is None else str(round(value, 1))
