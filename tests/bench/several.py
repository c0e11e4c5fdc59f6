"""Measures one gateway with one and with more servers behind nginx: what a server more brings and
costs on one machine, and that it loses, repeats and disorders nothing.

Everything is counted from outside: by the Chatwoots that send, and by the sink.
"""

import sys
import time
from pathlib import Path

import msgspec
from tests.bench import e2e, site
from tests.bench.ingest import Say
from tests.bench.servers import Server, cpu_s, free_port, process, settle
from tests.bench.several_figures import SeveralRow, several_row, speed
from tests.bench.site import Site

from comporta.testing.emulator import run_simulation
from comporta.testing.simulation import SimulationPlan

SERVERS_MAX = 4
RATE = 300.0
SETTLE_S = 5.0
CHATWOOTS = 6
"""With ten connections each, as one Sidekiq has."""


def measure(counts: list[int], *, quick: bool, folder: Path, say: Say) -> list[SeveralRow]:
    """At a fixed rate and then flat out, for each number of servers."""
    loads = [(RATE / 3, 1.0)] if quick else [(RATE, 8.0), (0.0, 4.0)]
    rows = []
    with site.shared(folder) as programs:
        for count in counts:
            port = free_port()
            sink = [sys.executable, "-m", "tests.bench.sink", str(port)]
            fleet = e2e.fleet(port, CHATWOOTS)
            with (
                process(sink, port, folder / f"sink-{port}.log"),
                site.site(count, fleet, folder, programs) as running,
            ):
                for rate, seconds in loads:
                    say(f"servers: {count}, {speed(rate)}")
                    rows.append(one(running, port, rate, seconds))
    return rows


def one(
    running: Site, sink: int, rate: float, seconds: float, within_s: float = e2e.SETTLE_S
) -> SeveralRow:
    """One load, and the wait until all that was acknowledged is at the sink at port `sink`.

    Args:
        running: the gateway.
        sink: a port.
        rate: events a second; 0: as fast as the answers allow.
        seconds: how long the Chatwoots send.
        within_s: what did not arrive so long after another that did is lost.
    """
    settle(_all_of(running), SETTLE_S)
    before, taken = e2e.report(sink), [site.accepted(server) for server in running.servers]
    cpus, began = [cpu_s(part) for part in running.parts], time.monotonic()
    summary = run_simulation(_plan(running.url, rate, seconds))
    found, ended = e2e.wait_for_all(sink, before["unique"] + summary.accepted, within_s)
    settle(_all_of(running), SETTLE_S)
    pairs = zip(running.parts, cpus, strict=True)
    shares = [site.accepted(s) - t for s, t in zip(running.servers, taken, strict=True)]
    row = several_row(rate, summary, before, found)
    return msgspec.structs.replace(
        row,
        servers=len(running.servers),
        delivered_per_s=row.delivered / max(ended - began, summary.duration_s),
        smallest_share=min(shares) / max(1, sum(shares)),
        cpu_us={p.name: (cpu_s(p) - cpu) / max(1, summary.accepted) * 1e6 for p, cpu in pairs},
    )


def _all_of(running: Site) -> Server:
    return Server("all", "", tuple(pid for part in running.parts for pid in part.pids))


def _plan(url: str, rate: float, seconds: float) -> SimulationPlan:
    gateway = Server("", url, ())
    made = e2e.plan(gateway, rate, seconds, CHATWOOTS)
    # Each load is a story of its own: a sink would take the same numbers again for repeats.
    return msgspec.structs.replace(
        made, run=f"load-{time.monotonic_ns()}", seed=time.monotonic_ns()
    )
