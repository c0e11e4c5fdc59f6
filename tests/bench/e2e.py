"""Measures the whole way: emulated Chatwoots, the gateway, a sink, all on this machine."""

import json
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from tests.bench.figures import EndToEndRow
from tests.bench.servers import (
    TOKEN,
    Server,
    comporta,
    cpu_s,
    dispatch_of,
    free_port,
    memory_mb,
    process,
    settle,
)

from comporta.domain.fleet import SourceKind
from comporta.testing.emulator import run_simulation
from comporta.testing.simulation import SimulatedChatwoot, SimulationPlan, SimulationSummary

CHATWOOTS = 3
CONVERSATIONS = 20
"""Of each Chatwoot, at a time."""
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
# Every event is counted here: none may give way to a newer one or be worth nothing after a while.
_ROUTE = """
[[destination]]
name = "sink"
url = "http://127.0.0.1:{port}/"
classes = {{ "*" = "ordered" }}
[[route]]
name = "all"
to = ["sink"]
"""


def measure(  # noqa: PLR0913  (what the bench varies)
    workers: int,
    rate: float,
    seconds: float,
    folder: Path,
    say: Callable[[str], None],
    *,
    chatwoots: int = CHATWOOTS,
    conversations: int = CONVERSATIONS,
    env: Mapping[str, str] | None = None,
) -> EndToEndRow:
    """One simulation, and the wait until everything that was acknowledged has arrived.

    `env`: more settings of the gateway.
    """
    port = free_port()
    sink = [sys.executable, "-m", "tests.bench.sink", str(port)]
    with (
        process(sink, port, folder / f"sink-{port}.log"),
        comporta(f"e2e-{port}", folder, fleet(port, chatwoots), workers, env=env) as gateway,
    ):
        speed = f"{rate:,.0f} events a second" if rate else "as fast as it goes"
        say(f"end to end, {chatwoots:,} Chatwoots, {speed}, workers: {workers}")
        dispatch = dispatch_of(gateway)
        cpu, began = cpu_s(dispatch), time.monotonic()
        summary = run_simulation(plan(gateway, rate, seconds, chatwoots, conversations))
        found, ended = wait_for_all(port, summary.accepted)
        settle(dispatch)
        cpu_us = (cpu_s(dispatch) - cpu) / max(1, found["unique"]) * 1e6
        row = _row(workers, rate, summary, found, ended - began, memory_mb(gateway))
        return msgspec.structs.replace(row, chatwoots=chatwoots, dispatch_cpu_us=cpu_us)


def instances(count: int) -> str:
    """The instances of a fleet file, `bench-0` and on."""
    numbers = range(count)
    return "".join(_INSTANCE.format(number=n, token=TOKEN, secret=SECRET) for n in numbers)


def fleet(port: int, count: int = CHATWOOTS) -> str:
    """A fleet file: the Chatwoots, and a sink at `port` for all they send."""
    return instances(count) + _ROUTE.format(port=port)


def plan(
    gateway: Server,
    rate: float,
    seconds: float,
    count: int = CHATWOOTS,
    conversations: int = CONVERSATIONS,
) -> SimulationPlan:
    """What the Chatwoots send; so many conversations of each at a time."""
    return SimulationPlan(
        senders(gateway, count), rate_per_s=rate, duration_s=seconds, conversations=conversations
    )


def senders(gateway: Server, count: int) -> tuple[SimulatedChatwoot, ...]:
    """The instances of the fleet, as Chatwoots that send."""
    return tuple(
        SimulatedChatwoot(
            f"bench-{number}", SourceKind.ACCOUNT, f"{gateway.url}-{number}", secret=SECRET
        )
        for number in range(count)
    )


def wait_for_all(
    port: int, wanted: int, within_s: float = SETTLE_S
) -> tuple[dict[str, Any], float]:
    """The sink's report and when its number of events last rose (monotonic seconds).

    It has as long as it needs, while more than nothing arrives every `within_s` seconds.
    """
    unique, risen = -1, time.monotonic()
    while True:
        found = report(port)
        if found["unique"] > unique:
            unique, risen = found["unique"], time.monotonic()
        if unique >= wanted or time.monotonic() > risen + within_s:
            return found, risen
        time.sleep(0.05)


def report(port: int) -> dict[str, Any]:
    """What the sink at `port` has seen so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/report", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _row(  # noqa: PLR0913, PLR0917  (all that a row is made of)
    workers: int,
    rate: float,
    summary: SimulationSummary,
    found: dict[str, Any],
    lasted_s: float,
    memory: float,
) -> EndToEndRow:
    return EndToEndRow(
        workers=workers,
        rate=rate,
        accepted=summary.accepted,
        delivered=found["unique"],
        lost=max(0, summary.accepted - found["unique"]),
        duplicates=found["duplicates"],
        disorder=found["disorder"],
        accepted_per_s=summary.accepted / summary.duration_s,
        delivered_per_s=found["unique"] / lasted_s,
        ack_p99_ms=summary.ack_p99_ms,
        lag_p99_ms=found["lag_p99_ms"],
        memory_mb=memory,
        lag_p50_ms=found["lag_p50_ms"],
    )
