"""Measures the whole way: three emulated Chatwoots, the gateway, a sink, all on this machine."""

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.figures import EndToEndRow
from tests.bench.servers import TOKEN, Server, comporta, free_port, memory_mb, process

from comporta.domain.fleet import SourceKind
from comporta.testing.emulator import run_simulation
from comporta.testing.simulation import SimulatedChatwoot, SimulationPlan, SimulationSummary

CHATWOOTS = 3
SECRET = "bench-secret"
SETTLE_S = 60.0

_INSTANCE = """
[[instance]]
name = "bench-{number}"
[[instance.source]]
name = "conta"
kind = "account"
token = "{token}-{number}"
secrets = ["{secret}"]
"""
_ROUTE = """
[[destination]]
name = "sink"
url = "http://127.0.0.1:{port}/"
[[route]]
name = "all"
to = ["sink"]
"""


def measure(
    workers: int, rate: float, seconds: float, folder: Path, say: Callable[[str], None]
) -> EndToEndRow:
    """One simulation, and the wait until everything that was acknowledged has arrived."""
    port = free_port()
    sink = [sys.executable, "-m", "tests.bench.sink", str(port)]
    with (
        process(sink, port, folder / f"sink-{port}.log"),
        comporta(f"e2e-{port}", folder, fleet(port), workers) as gateway,
    ):
        speed = f"{rate:,.0f} events a second" if rate else "as fast as it goes"
        say(f"end to end, {speed}, workers: {workers}")
        began = time.monotonic()
        summary = run_simulation(plan(gateway, rate, seconds))
        report, ended = wait_for_all(port, summary.accepted)
        return _row(workers, rate, summary, report, ended - began, memory_mb(gateway))


def fleet(port: int) -> str:
    """A fleet file: the Chatwoots, and a sink at `port` for all they send."""
    instances = (
        _INSTANCE.format(number=number, token=TOKEN, secret=SECRET) for number in range(CHATWOOTS)
    )
    return "".join(instances) + _ROUTE.format(port=port)


def plan(gateway: Server, rate: float, seconds: float) -> SimulationPlan:
    """What the Chatwoots send."""
    chatwoots = tuple(
        SimulatedChatwoot(
            f"bench-{number}", SourceKind.ACCOUNT, f"{gateway.url}-{number}", secret=SECRET
        )
        for number in range(CHATWOOTS)
    )
    return SimulationPlan(chatwoots, rate_per_s=rate, duration_s=seconds)


def wait_for_all(port: int, accepted: int) -> tuple[dict[str, Any], float]:
    """The sink's report and when its number of events last rose (monotonic seconds)."""
    deadline = time.monotonic() + SETTLE_S
    unique, risen = -1, time.monotonic()
    while True:
        report = _report(port)
        if report["unique"] > unique:
            unique, risen = report["unique"], time.monotonic()
        if unique >= accepted or time.monotonic() > deadline:
            return report, risen
        time.sleep(0.05)


def _report(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/report", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _row(  # noqa: PLR0913, PLR0917  (all that a row is made of)
    workers: int,
    rate: float,
    summary: SimulationSummary,
    report: dict[str, Any],
    lasted_s: float,
    memory: float,
) -> EndToEndRow:
    return EndToEndRow(
        workers=workers,
        rate=rate,
        accepted=summary.accepted,
        delivered=report["unique"],
        lost=max(0, summary.accepted - report["unique"]),
        duplicates=report["duplicates"],
        disorder=report["disorder"],
        accepted_per_s=summary.accepted / summary.duration_s,
        delivered_per_s=report["unique"] / lasted_s,
        ack_p99_ms=summary.ack_p99_ms,
        lag_p99_ms=report["lag_p99_ms"],
        memory_mb=memory,
    )
