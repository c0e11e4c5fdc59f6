"""What `comporta doctor` looks at; each check says what it found and what to do about it."""

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path

import apsw
import msgspec

from comporta.alerting.config import load
from comporta.cli.desk import LocalStores
from comporta.cli.screen import Word
from comporta.domain.breaker import Breaker
from comporta.domain.fleet import Fleet
from comporta.domain.growth import Growth, growth_of
from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.engines import SQLITE
from comporta.errors import ConfigError, StoreUnavailableError
from comporta.i18n import _, plural
from comporta.ledger.port import EventFilter, LedgerTotals
from comporta.log.port import Log, LogHealth
from comporta.log.spool.flags import Flags
from comporta.state.port import WorkerRow
from comporta.telemetry.health import DAYS_LEFT_MIN, DAYS_LEFT_WARN

SQLITE_MIN = (3, 51, 3)
FREE_BYTES_WARN = 2 * 1024**3
FREE_BYTES_MIN = 256 * 1024**2
LAG_WARN = 10_000
OPEN_AGE_WARN_S = 3600
CLOCK_AHEAD_S = 60
YEAR_MIN = 2026
"""Before this version was made no clock can be right."""


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor."""

    check: Word
    level: Level
    found: str
    todo: str = ""


def ok(check: Word, found: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, found)


def data_folder(folder: Path) -> Finding:
    """Whether the data folder is there, ours, and nobody else's."""
    check = Word("data", _("data folder"))
    if not folder.is_dir():
        missing = _("{folder} does not exist.").format(folder=folder)
        return Finding(check, Level.ERROR, missing, _("Run: comporta init"))
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        closed = _("{folder} cannot be written by this user.").format(folder=folder)
        return Finding(check, Level.ERROR, closed, _("Run as its owner, or change the owner."))
    if stat.S_IMODE(folder.stat().st_mode) & stat.S_IRWXO:
        todo = _("Run: chmod o-rwx {folder}").format(folder=folder)
        found = _("{folder} can be read by every user of this machine.").format(folder=folder)
        return Finding(check, Level.WARN, found, todo)
    return ok(check, str(folder))


def disk(folder: Path) -> Finding:
    """Whether there is room for what comes in."""
    check = Word("disk", _("disk space"))
    free = shutil.disk_usage(folder).free
    found = _("{free} GiB free").format(free=f"{free / 1024**3:.1f}")
    todo = _("Make room, or lower keep_bodies_days: a full disk refuses events.")
    if free < FREE_BYTES_MIN:
        return Finding(check, Level.ERROR, found, todo)
    if free < FREE_BYTES_WARN:
        return Finding(check, Level.WARN, found, todo)
    return ok(check, found)


def alerts(file: Path | None) -> Finding:
    """Whether the alerts file can be used, and anybody is told."""
    check = Word("alerts", _("alerts"))
    try:
        notifiers = load(file).file.notifier
    except ConfigError as error:
        found = _("The alerts file cannot be used, so the defaults hold, and nobody is told.")
        return Finding(check, Level.ERROR, found, str(error))
    if not notifiers:
        found = _("Nobody is told of alerts; `comporta alerts` lists them.")
        return ok(check, found)
    return ok(check, _("Told: {names}").format(names=", ".join(one.name for one in notifiers)))


def growth(known: Growth | None) -> Finding:
    """Whether the disk will last."""
    check = Word("growth", _("growth"))
    if known is None or known.bytes_a_day is None:
        return ok(check, _("not enough yet: it is known an hour after the first start"))
    stored, more = f"{known.stored_bytes / 1024**3:.1f}", f"{known.bytes_a_day / 1024**2:.0f}"
    if known.free_bytes is None:
        found = _("{stored} GiB stored, {growth} MiB more a day, on a server whose disk is unknown")
        return ok(check, found.format(stored=stored, growth=more))
    found = _("{stored} GiB stored, {growth} MiB more a day, {free} GiB free").format(
        stored=stored, growth=more, free=f"{known.free_bytes / 1024**3:.1f}"
    )
    if known.days_left is None:
        return ok(check, found)
    found += ", " + _("enough for {days} days").format(days=f"{known.days_left:.1f}")
    todo = _("Make room, or keep less: see keep_bodies_days and keep_bodies_mib.")
    if known.days_left < DAYS_LEFT_MIN:
        return Finding(check, Level.ERROR, found, todo)
    if known.days_left < DAYS_LEFT_WARN:
        return Finding(check, Level.WARN, found, todo)
    return ok(check, found)


def space(*, gives_back: bool) -> Iterator[Finding]:
    """Whether the ledger's file can shrink; one of an early version cannot."""
    if not gives_back:
        found = _("The ledger's file does not shrink; free space in it is used again.")
        todo = _("To change that, see docs/operating.md, Retention.")
        yield Finding(Word("space", _("space")), Level.WARN, found, todo)


def sqlite() -> Finding:
    """Whether the SQLite library can be trusted with data."""
    check = Word("sqlite", "SQLite")
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_MIN:
        wanted = ".".join(str(part) for part in SQLITE_MIN)
        todo = _("Update the package apsw: at least SQLite {wanted} is needed.")
        return Finding(check, Level.ERROR, version, todo.format(wanted=wanted))
    return ok(check, version)


def clock(now_s: float, newest_event_s: float | None) -> Finding:
    """Whether the clock can be right: signatures and retries depend on it."""
    check = Word("clock", _("clock"))
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now_s))
    todo = _("Set the clock, and let NTP keep it (timedatectl set-ntp true).")
    if time.gmtime(now_s).tm_year < YEAR_MIN:
        return Finding(check, Level.ERROR, now, todo)
    if newest_event_s is not None and newest_event_s > now_s + CLOCK_AHEAD_S:
        found = _("{now}, but the newest event is from the future.").format(now=now)
        return Finding(check, Level.WARN, found, todo)
    return ok(check, now)


async def stores_checks(
    stores: LocalStores, now_ms: int, alive_now: Sequence[WorkerRow]
) -> list[Finding]:
    """Everything that the open stores can tell."""
    fleet = await stores.ledger.fleet()
    newest = await stores.ledger.events(EventFilter(limit=1))
    totals = await stores.ledger.totals()
    workers = sum(worker.dispatches for worker in alive_now)
    samples = await stores.ledger.keeping.samples()
    return [
        ok(Word("schema", _("schema")), _("current")),
        *engines(stores),
        growth(growth_of(samples)),
        *space(gives_back=await stores.ledger.keeping.gives_back()),
        *log(stores.log.health(), await _lag(stores.log)),
        open_deliveries(totals, now_ms),
        dead_letters(totals.dead),
        alive(workers),
        *fleet_checks(fleet),
        *breakers(fleet, await stores.state.breakers()),
        clock(now_ms / 1000, newest[0].accepted_at_ms / 1000 if newest else None),
    ]


def engines(stores: LocalStores) -> Iterator[Finding]:
    """Whether log, ledger and state fit each other, and what weakens the state."""
    check = Word("engines", _("engines"))
    log, ledger, state = stores.log.health().engine, stores.ledger.engine, stores.state.engine
    found = f"log {log} · ledger {ledger} · state {state}"
    if log != SQLITE.name and SQLITE.name in {ledger, state}:
        todo = _(
            "Let only one server use this log; for several, set COMPORTA_LEDGER and"
            " COMPORTA_STATE, too. See docs/engines.md."
        )
        yield Finding(check, Level.WARN, found, todo)
    else:
        yield ok(check, found)
    for warning in stores.state.warnings:
        yield Finding(Word("state", _("state")), Level.WARN, warning)


async def _lag(log: Log) -> int | None:
    """None: its server is away, which the spool is for."""
    try:
        return await log.lag()
    except StoreUnavailableError:
        return None


def breakers(fleet: Fleet, found: Mapping[str, Breaker]) -> Iterator[Finding]:
    """Which destinations are down."""
    names = {one.id: one.name for one in fleet.destinations}
    todo = _("Look at the destination; deliveries go on by themselves once it answers.")
    for id_, one in found.items():
        if id_ in names:
            said = _("Everything fails at {name}: {reason}")
            said = said.format(name=names[id_], reason=one.reason)
            yield Finding(Word("breakers", _("circuit breakers")), Level.WARN, said, todo)


def log(health: LogHealth, lag: int | None) -> Iterator[Finding]:
    """Whether events can be taken in, and how many wait for dispatch; None: that is not known."""
    check = Word("log", _("log"))
    for warning in health.warnings:
        yield Finding(check, Level.WARN, warning)
    if health.error:
        yield Finding(
            check, Level.ERROR, health.error, _("Until then events are refused with 503.")
        )
    elif health.degraded:
        yield Finding(check, Level.WARN, health.degraded, _("Events are taken in meanwhile."))
    elif lag is None:
        yield Finding(check, Level.WARN, _("its server does not answer"))
    elif lag > LAG_WARN:
        todo = _("Dispatch is behind: look at slow destinations, or start more workers.")
        yield Finding(check, Level.WARN, _("lag: {count}").format(count=lag), todo)
    else:
        yield ok(check, _("lag: {count}").format(count=lag))


def spool(folder: Path) -> Iterator[Finding]:
    """What waits on this server for the log's server; nothing is said where there never was one."""
    check, path = Word("spool", _("spool")), folder / "spool.flags"
    if not path.exists():
        return
    flags = Flags(path, PARTITIONS_MAX)
    try:
        flags.open()
    except OSError as error:
        yield Finding(check, Level.WARN, f"{path}: {error.strerror}")
        return
    with closing(flags):
        waiting = flags.waiting
    found = plural(
        "{count} event waits for the log's server",
        "{count} events wait for the log's server",
        waiting,
    ).format(count=waiting)
    todo = _("They are sent on once that server is well and the gateway runs here.")
    yield Finding(check, Level.WARN, found, todo) if waiting else ok(check, found)


def open_deliveries(totals: LedgerTotals, now_ms: int) -> Finding:
    """How much is owed, and since when."""
    check = Word("deliveries", _("deliveries"))
    found = _("{pending} pending, {scheduled} scheduled").format(
        pending=totals.pending, scheduled=totals.scheduled
    )
    oldest_ms = totals.oldest_open_at_ms
    if oldest_ms is not None and now_ms - oldest_ms > OPEN_AGE_WARN_S * 1000:
        hours = f"{(now_ms - oldest_ms) / 3_600_000:.1f}"
        found += ", " + _("the oldest for {hours} hours").format(hours=hours)
        return Finding(check, Level.WARN, found, _("See: comporta deliveries --state scheduled"))
    return ok(check, found)


def dead_letters(count: int) -> Finding:
    """Whether something was given up."""
    check = Word("dead", _("dead letters"))
    if count:
        todo = _("See: comporta dead. Put back: comporta redrive --all")
        return Finding(check, Level.WARN, str(count), todo)
    return ok(check, "0")


def alive(workers: int) -> Finding:
    """Whether anybody works."""
    check = Word("workers", _("workers"))
    if not workers:
        todo = _("Start the gateway: comporta serve")
        return Finding(check, Level.WARN, _("none is running"), todo)
    found = plural("{count} is running", "{count} are running", workers)
    return ok(check, found.format(count=workers))


def fleet_checks(fleet: Fleet) -> Iterator[Finding]:
    """What in the fleet needs a person."""
    check = Word("destinations", _("destinations"))
    paused = [one for one in fleet.destinations if one.paused]
    for one in paused:
        found = _("{name} is paused: {why}").format(name=one.name, why=one.paused)
        todo = _("Then run: comporta destination resume {name}").format(name=one.name)
        yield Finding(check, Level.WARN, found, todo)
    if not paused:
        yield ok(check, str(len(fleet.destinations)))
    yield _sources(fleet)
    if fleet.destinations and not fleet.routes:
        todo = _("Add one: comporta route add")
        yield Finding(Word("routes", _("routes")), Level.WARN, _("there are none"), todo)


def _sources(fleet: Fleet) -> Finding:
    check = Word("sources", _("sources"))
    every = [(one, source) for one in fleet.instances for source in one.sources]
    bare = [f"{one.name}/{source.name}" for one, source in every if not source.secrets]
    if bare:
        found = _("without a signing secret, so not verified: {names}")
        todo = _("Copy each secret from Chatwoot: comporta source secret add {name} SECRET")
        todo = todo.format(name=bare[0])
        return Finding(check, Level.WARN, found.format(names=", ".join(bare[:10])), todo)
    return ok(check, str(len(every)))
