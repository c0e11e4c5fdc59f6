"""Measures what very many open conversations cost others: one instance's destination is paused,
each of its conversations gets an event, and another instance goes on, to another destination.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import e2e, stock
from tests.bench.delivery_figures import OpenRow
from tests.bench.servers import (
    Server,
    comporta,
    data_folder,
    dispatch_of,
    free_port,
    health,
    memory_mb,
    process,
    settle,
)

from comporta.testing.emulator import run_simulation
from comporta.testing.simulation import SimulationPlan

RATE = 200.0
TAKEN_S = 600.0
LOOK_S = 0.5
_ROUTES = """
[[destination]]
name = "held"
url = "http://127.0.0.1:{held}/"
classes = {{ "*" = "ordered" }}
[[destination]]
name = "live"
url = "http://127.0.0.1:{live}/"
classes = {{ "*" = "ordered" }}
[[route]]
name = "held"
instances = ["bench-0"]
to = ["held"]
[[route]]
name = "live"
instances = ["bench-1"]
to = ["live"]
"""


def measure(
    conversations: int, seconds: float, folder: Path, say: Callable[[str], None]
) -> OpenRow:
    """One gateway: `seconds` of live events without, then with the conversations, then these."""
    held, live = free_port(), free_port()
    data = data_folder(folder, e2e.instances(2) + _ROUTES.format(held=held, live=live))
    stock.apply(data, paused="held")
    with comporta(f"held-{held}", folder, data=data) as gateway:
        dispatch = dispatch_of(gateway)
        say(f"lag of one instance at {RATE:,.0f}/s")
        before, lost_before = _live(gateway, live, seconds, folder)
        before_mb = memory_mb(dispatch)
        say(f"the same beside {conversations:,} conversations that wait")
        taken_s = _hold(gateway, data, conversations)
        settle(dispatch)  # what is measured is that they are open, not that they were taken over
        beside, lost_beside = _live(gateway, live, seconds, folder)
        beside_mb = memory_mb(dispatch)
        say("and these are delivered")
        after, released_s = _release(data, held, conversations, folder)
        return OpenRow(
            conversations=conversations,
            rate=RATE,
            before_p50_ms=before["lag_p50_ms"],
            before_p99_ms=before["lag_p99_ms"],
            beside_p50_ms=beside["lag_p50_ms"],
            beside_p99_ms=beside["lag_p99_ms"],
            live_lost=lost_before + lost_beside,
            taken_over_per_s=conversations / taken_s,
            released_per_s=after["unique"] / released_s,
            lost=conversations - after["unique"],
            duplicates=after["duplicates"],
            before_mb=before_mb,
            beside_mb=beside_mb,
            after_mb=memory_mb(dispatch),
        )


def _sink(port: int) -> list[str]:
    return [sys.executable, "-m", "tests.bench.sink", str(port)]


def _live(gateway: Server, port: int, seconds: float, folder: Path) -> tuple[dict[str, Any], int]:
    """Live events of `bench-1`: what a new sink says of them, and how many did not arrive."""
    with process(_sink(port), port, folder / f"sink-{port}.log"):
        chatwoots = e2e.senders(gateway, 2)[1:]
        summary = run_simulation(SimulationPlan(chatwoots, rate_per_s=RATE, duration_s=seconds))
        report, _ended = e2e.wait_for_all(port, summary.accepted)
    return report, summary.accepted - report["unique"]


def _hold(gateway: Server, data: Path, conversations: int) -> float:
    """Put one event of each conversation in; the seconds until the ledger has them all."""
    began = time.monotonic()
    stock.put(data, stock.Stock(conversations, 1, conversations, ""))
    while time.monotonic() < began + TAKEN_S:
        found = health(gateway)
        if found["lag"] == 0 and (found["pending"] or 0) >= conversations:
            return time.monotonic() - began
        time.sleep(LOOK_S)
    raise TimeoutError("the events that wait are not taken over")


def _release(
    data: Path, port: int, conversations: int, folder: Path
) -> tuple[dict[str, Any], float]:
    """Resume the destination: what its sink says when all are there, and the seconds it took."""
    with process(_sink(port), port, folder / f"sink-{port}.log"):
        began = time.monotonic()
        stock.resume(data, "held")
        report, ended = e2e.wait_for_all(port, conversations)
    return report, ended - began
