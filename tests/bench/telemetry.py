"""Measures what telemetry costs a webhook: the gateway and the same without it, in turns."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
from tests.bench.aim import Aim, at_most
from tests.bench.figures import KEPT, NEW
from tests.bench.load import saturate
from tests.bench.servers import Server, comporta, cpu_s, dispatch_of, settle

COST_MAX = 1.05
WARM_UP_S = 1.0
WITH, WITHOUT = "comporta.asgi:app", "tests.bench.silent:app"


class TelemetryRow(msgspec.Struct, frozen=True):
    """CPU of the process that takes in, microseconds a request: medians over the rounds."""

    connections: str
    with_us: float
    without_us: float
    ratio: float
    """The median of the rounds' own ratios, which a machine's moods meet alike."""


def measure(
    rounds: int, seconds: float, folder: Path, say: Callable[[str], None]
) -> tuple[TelemetryRow, ...]:
    """Both run side by side and are loaded one after the other, in rounds."""
    with ExitStack() as stack:
        servers = [stack.enter_context(comporta(app, folder, app=app)) for app in (WITH, WITHOUT)]
        for server in servers:
            saturate(server.url, WARM_UP_S, True, folder)
        return tuple(_row(kind, servers, rounds, seconds, folder, say) for kind in (KEPT, NEW))


def _row(  # noqa: PLR0913, PLR0917  (what a row is measured with)
    connections: str,
    servers: list[Server],
    rounds: int,
    seconds: float,
    folder: Path,
    say: Callable[[str], None],
) -> TelemetryRow:
    found: list[list[float]] = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: {connections} connections")
        turn = servers if number % 2 else servers[::-1]  # who comes first has no advantage
        costs = {one.name: _cost_us(one, connections, seconds, folder) for one in turn}
        found.append([costs[WITH], costs[WITHOUT]])
    withs, withouts = zip(*found, strict=True)
    ratio = statistics.median(one / other for one, other in found)
    return TelemetryRow(connections, statistics.median(withs), statistics.median(withouts), ratio)


def _cost_us(server: Server, connections: str, seconds: float, folder: Path) -> float:
    settle(server)
    before_s = _intake_s(server)
    load = saturate(server.url, seconds, connections == KEPT, folder)
    return (_intake_s(server) - before_s) / load.requests * 1e6


def _intake_s(server: Server) -> float:
    return cpu_s(server) - cpu_s(dispatch_of(server))


def aims(rows: tuple[TelemetryRow, ...]) -> tuple[Aim, ...]:
    """At most a twentieth more."""
    return tuple(
        at_most(f"intake CPU with telemetry, {row.connections}", row.ratio, 1.0, COST_MAX)
        for row in rows
    )
