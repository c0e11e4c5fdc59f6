"""Watches the gateway's memory while very many events pass through it, all the way to a sink."""

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from tests.bench import e2e
from tests.bench.servers import Server, comporta, free_port, memory_mb, process

from comporta.testing.emulator import run_simulation
from comporta.testing.simulation import SimulationSummary

LONGEST_S = 3600.0
SAMPLES = 20
FLAT_SHARE = 1.10
"""Flat: the last quarter's highest is at most so many times the second quarter's."""


class SoakRow(msgspec.Struct, frozen=True):
    """Memory after so many events."""

    events: int
    memory_mb: float


def measure(
    events: int, rate: float, folder: Path, say: Callable[[str], None]
) -> tuple[tuple[SoakRow, ...], SimulationSummary, int]:
    """Memory over `events` at `rate` a second; what was sent; how many arrived at the sink."""
    port = free_port()
    sink = [sys.executable, "-m", "tests.bench.sink", str(port)]
    with (
        process(sink, port, folder / f"sink-{port}.log"),
        comporta("soak", folder, e2e.fleet(port), 1) as gateway,
    ):
        plan = msgspec.structs.replace(e2e.plan(gateway, rate, LONGEST_S), events=events)
        rows: list[SoakRow] = []

        def look(so_far: SimulationSummary) -> None:
            if so_far.sent >= (len(rows) + 1) * events / SAMPLES:
                rows.append(_row(so_far.sent, gateway))
                say(f"{rows[-1].events:,} events: {rows[-1].memory_mb:.0f} MB")

        summary = run_simulation(plan, look)
        report, _ended = e2e.wait_for_all(port, summary.accepted)
        return tuple(rows), summary, report["unique"]


def _row(sent: int, gateway: Server) -> SoakRow:
    return SoakRow(sent, memory_mb(gateway))


def is_flat(rows: tuple[SoakRow, ...]) -> bool:
    """Whether memory has stopped growing."""
    quarter = len(rows) // 4
    early = max(row.memory_mb for row in rows[quarter : 2 * quarter])
    late = max(row.memory_mb for row in rows[-quarter:])
    return late <= early * FLAT_SHARE
