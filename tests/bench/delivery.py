"""Measures delivery: a stock that waits in the log, delivered by a gateway that is started then,
beside the HTTP client alone; and the lag of live events of few and of many instances.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from tests.bench import client, e2e, stock
from tests.bench.delivery_figures import ClientRow, ThroughputRow, both
from tests.bench.figures import EndToEndRow
from tests.bench.servers import (
    ROOT,
    comporta,
    cpu_s,
    data_folder,
    dispatch_of,
    free_port,
    memory_mb,
    process,
    settle,
)

from comporta.settings import Settings

Say = Callable[[str], None]
CONVERSATIONS = 64
"""Of each instance in a stock."""
LIVE_CONVERSATIONS = 200
"""At a time, of all instances together; at least one of each."""
FIRST_S = 30.0
"""For the gateway to start and the first delivery to arrive."""
LOOK_S = 0.02


class Size(NamedTuple):
    """How much is measured."""

    events: int
    """In each stock."""
    live_rate: float
    """Events a second, of all instances together."""
    live_s: float
    conversations: int
    """How many wait while another instance goes on."""
    fleets: tuple[int, ...]
    """How many instances."""


FULL = Size(20_000, 500.0, 10.0, 100_000, (1, 100, 1000))
QUICK = Size(1_000, 200.0, 1.0, 1_000, (100,))


def throughput(size: Size, folder: Path, say: Say) -> tuple[ThroughputRow, ...]:
    """The client alone and then the gateway, for each size of fleet, to one sink."""
    port = free_port()
    sink = [sys.executable, "-m", "tests.bench.sink", str(port)]
    with process(sink, port, folder / f"sink-{port}.log"):
        return tuple(_one(instances, size.events, port, folder, say) for instances in size.fleets)


def lags(size: Size, folder: Path, say: Say) -> tuple[EndToEndRow, ...]:
    """Live events at a fixed rate over all instances, for each size of fleet."""
    return tuple(
        e2e.measure(
            *(1, size.live_rate, size.live_s, folder, say),
            chatwoots=instances,
            conversations=max(1, LIVE_CONVERSATIONS // instances),
        )
        for instances in size.fleets
    )


def _one(instances: int, events: int, port: int, folder: Path, say: Say) -> ThroughputRow:
    """The stock, between two measurements of the client: a machine's speed drifts."""
    say(f"the HTTP client alone, {events:,} calls")
    first = _client(port, events)
    say(f"delivery, {events:,} events of {instances:,} instances")
    row = _stock(instances, events, port, folder)
    say(f"the HTTP client alone, {events:,} calls")
    return msgspec.structs.replace(row, client=both(first, _client(port, events)))


def _stock(instances: int, events: int, port: int, folder: Path) -> ThroughputRow:
    data = data_folder(folder, e2e.fleet(port, instances))
    stock.apply(data)
    name = f"stock-{instances}"
    stock.put(data, stock.Stock(events, instances, CONVERSATIONS, name))
    before = e2e.report(port)
    with comporta(name, folder, data=data, ready=False) as gateway:
        first, began = _first(port, before["unique"])
        dispatch = dispatch_of(gateway)
        cpu = cpu_s(dispatch)
        after, ended = e2e.wait_for_all(port, before["unique"] + events)
        settle(dispatch)
        found = {key: after[key] - before[key] for key in ("unique", "duplicates", "disorder")}
        counted = max(1, after["unique"] - first)
        return ThroughputRow(
            instances=instances,
            events=events,
            client=ClientRow(0, 0, 0.0, 0.0),
            per_s=counted / max(LOOK_S, ended - began),
            cpu_us=(cpu_s(dispatch) - cpu) / counted * 1e6,
            lost=events - found["unique"],
            duplicates=found["duplicates"],
            disorder=found["disorder"],
            memory_mb=memory_mb(dispatch),
        )


def _client(port: int, calls: int) -> ClientRow:
    at_a_time = str(Settings.model_fields["concurrency"].default)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.client", str(port), str(calls), at_a_time],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60 + calls / 100,
    )
    answer = msgspec.json.decode(done.stdout, type=client.Answer)
    made = max(1, answer.calls - answer.failed)
    return ClientRow(answer.calls, answer.failed, made / answer.lasted_s, answer.cpu_s / made * 1e6)


def _first(port: int, before: int) -> tuple[int, float]:
    """How many have arrived when some have for the first time, and when (monotonic seconds)."""
    deadline = time.monotonic() + FIRST_S
    while time.monotonic() < deadline:
        unique = e2e.report(port)["unique"]
        if unique > before:
            return unique, time.monotonic()
        time.sleep(LOOK_S)
    raise TimeoutError("nothing is delivered")
