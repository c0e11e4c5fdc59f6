"""Measures how fast webhooks are taken in: all servers side by side, loaded in turn, in rounds."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench.figures import KEPT, NEW, IngestRow, RateRow, Round, medians
from tests.bench.load import at_rate, saturate
from tests.bench.servers import Server, cpu_s, settle

Say = Callable[[str], None]
RATE = 1000.0
WARM_UP_S = 1.0


def measure(
    servers: Mapping[str, Server],
    rounds: int,
    seconds: float,
    folder: Path,
    say: Say,
) -> tuple[IngestRow, ...]:
    """Rounds go over all servers before the next begins, so that noise meets them alike."""
    found: dict[tuple[str, str], list[Round]] = {}
    for server in servers.values():
        saturate(server.url, WARM_UP_S, True, folder)
    for number in range(rounds):
        for connections in (KEPT, NEW):
            for name, server in servers.items():
                say(f"round {number + 1} of {rounds}: {name}, {connections} connections")
                one = _round(server, connections, seconds, folder)
                found.setdefault((name, connections), []).append(one)
    return tuple(medians(*key, some) for key, some in sorted(found.items(), key=_in_order))


def _in_order(item: tuple[tuple[str, str], list[Round]]) -> str:
    return item[0][1]  # stable: servers stay as they came


def _round(server: Server, connections: str, seconds: float, folder: Path) -> Round:
    settle(server)
    before_s = cpu_s(server)
    load = saturate(server.url, seconds, connections == KEPT, folder)
    used_s = cpu_s(server) - before_s
    each_us = used_s / load.requests * 1e6 if load.requests else 0.0
    return Round(load.per_s, load.p50_ms, load.p99_ms, each_us, load.errors)


def measure_rates(servers: Mapping[str, Server], seconds: float, say: Say) -> tuple[RateRow, ...]:
    """How long answers take when the server is far from its limit."""
    found = []
    for name, server in servers.items():
        say(f"{RATE:,.0f} requests a second: {name}")
        settle(server)
        load = at_rate(server.url, seconds, RATE)
        found.append(RateRow(name, RATE, load.per_s, load.p50_ms, load.p99_ms, load.errors))
    return tuple(found)
