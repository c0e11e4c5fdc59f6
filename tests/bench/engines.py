"""Measures ingest and the whole way on each engine, beside what the engine's client can do alone.

Ingest is measured with ledger and state embedded, so that the log is all that differs. The whole
way is measured as several servers have it: PostgreSQL as the ledger and Redis as the state.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import msgspec
from tests.bench import e2e
from tests.bench.aim import Aim, at_least, none_of
from tests.bench.figures import EndToEndRow
from tests.bench.ingest import Say
from tests.bench.load import at_rate, saturate
from tests.bench.servers import ROOT, comporta, cpu_s, settle
from tests.support.servers.kafka import Kafka
from tests.support.servers.postgresql import Postgresql
from tests.support.servers.rabbitmq import RabbitServer
from tests.support.servers.redis import RedisProcess

ENGINES = ("sqlite", "redis", "rabbitmq", "kafka")
RATE = 1000.0
E2E_RATE = 500.0
SHARE_MIN = 0.7
CLOSED_S = 90.0


class Ceiling(msgspec.Struct, frozen=True):
    """What the client does alone. `cpu_us`: of the client, microseconds a message."""

    per_s: float
    cpu_us: float


class EngineRow(msgspec.Struct, frozen=True):
    """One engine as the log; medians over the rounds."""

    engine: str
    per_s: float
    p99_ms: float
    cpu_us: float
    """Of the gateway's processes, microseconds a request."""
    errors: int
    rate_p99_ms: float
    """At `RATE` requests a second."""
    ceiling: Ceiling | None
    end_to_end: EndToEndRow


def measure(names: tuple[str, ...], *, quick: bool, folder: Path, say: Say) -> list[EngineRow]:
    """The embedded engine, for comparison, and those that are asked for."""
    rounds, seconds, long_s = (1, 1.0, 2.0) if quick else (3, 3.0, 10.0)
    wanted = ["sqlite", *(name for name in names if name != "sqlite")]
    with ExitStack() as stack:
        ledger = stack.enter_context(Postgresql())
        state = stack.enter_context(RedisProcess(folder / "state"))
        rows = []
        for name in wanted:
            with log_server(name, folder) as url:
                say(f"{name}: the client alone")
                ceiling = _ceiling(name, url, seconds) if url else None
                found = _ingest(name, url, rounds, seconds, folder, say)
                elsewhere = {
                    "COMPORTA_LEDGER": ledger.url(name),
                    "COMPORTA_STATE": f"{state.url}?prefix={name}",
                }
                whole = {**elsewhere, "COMPORTA_LOG": log_url(name, url, "e2e")} if url else {}
                row = e2e.measure(1, 100.0 if quick else E2E_RATE, long_s, folder, say, env=whole)
                rows.append(EngineRow(name, *found, ceiling, row))
    return rows


@contextmanager
def log_server(name: str, folder: Path) -> Iterator[str]:
    """A server of its own for the log, durable; its URL, "" for the embedded engine."""
    if name == "sqlite":
        yield ""
        return
    made = {"redis": RedisProcess, "rabbitmq": RabbitServer, "kafka": Kafka}[name](folder / name)
    with made as server:
        yield server.url


def log_url(name: str, url: str, use: str) -> str:
    """A log of its own on this server."""
    return f"{url}/{use}" if name == "kafka" else f"{url}?prefix={use}"


def _ceiling(name: str, url: str, seconds: float) -> Ceiling:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.ceiling", name, url, str(seconds)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=seconds + 60,
    )
    if done.returncode:
        raise SystemExit(f"the client alone does not work with {name}:\n{done.stderr.decode()}")
    return msgspec.convert(json.loads(done.stdout), Ceiling)


def _ingest(  # noqa: PLR0913, PLR0917  (what the bench varies)
    name: str, url: str, rounds: int, seconds: float, folder: Path, say: Say
) -> tuple[float, float, float, int, float]:
    settings = {"COMPORTA_LOG": log_url(name, url, "ingest")} if url else {}
    with comporta(name, folder, env=settings) as server:
        saturate(server.url, 1.0, True, folder)
        found = []
        for number in range(rounds):
            say(f"{name}: ingest, round {number + 1} of {rounds}")
            settle(server, CLOSED_S)
            before_s = cpu_s(server)
            load = saturate(server.url, seconds, True, folder)
            found.append((load, (cpu_s(server) - before_s) / max(1, load.requests) * 1e6))
        settle(server, CLOSED_S)
        calm = at_rate(server.url, seconds, RATE)
    return (
        median(load.per_s for load, _cpu in found),
        median(load.p99_ms for load, _cpu in found),
        median(cpu for _load, cpu in found),
        sum(load.errors for load, _cpu in found) + calm.errors,
        calm.p99_ms,
    )


def aims(rows: list[EngineRow]) -> list[Aim]:
    """What issue and design ask of an engine."""
    found = []
    embedded = next((row.per_s for row in rows if row.engine == "sqlite"), 0.0)
    for row in rows:
        one = row.end_to_end
        faults = (one.lost, one.disorder, row.errors)
        if row.ceiling is not None:
            whole = min(embedded, row.ceiling.per_s)
            found.append(
                at_least(
                    f"{row.engine}: ingest, of client or embedded", row.per_s, whole, SHARE_MIN
                )
            )
        found.append(none_of(row.engine, "lost, out of order, errors", *faults))
    return found
