"""What `comporta bench` does: rounds of load on gateways of its own, in a folder of its own.

Everything runs on this machine: the gateway, what sends to it, and what it delivers to. It decides
nothing and prints nothing.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from comporta.cli.bench_bodies import mean_body_bytes
from comporta.cli.bench_sender import Sent
from comporta.cli.bench_sending import Senders
from comporta.cli.bench_stage import Stage, stage
from comporta.cli.process_tree import usage_of
from comporta.deploy.figures import Figures, Machine
from comporta.deploy.guide import workers_of
from comporta.errors import ComportaError
from comporta.i18n import _

WAITING_MAX: Final = 500
"""Accepted and not yet delivered, in the round that shows what can be sustained: so the lag has a
bound, whatever the rate."""
_FSYNC_BYTES, _FSYNCS, _FSYNC_S = 4096, 200, 2.0
_POLL_S = 0.05

Say = Callable[[str], None]


class Times(msgspec.Struct, frozen=True):
    """How long the parts take, in seconds; tests are in more of a hurry."""

    warm_s: float = 1.0
    intake_s: float = 4.0
    backlog_s: float = 3.0
    sustained_s: float = 8.0
    settle_s: float = 4.0
    start_s: float = 4.0
    """What starting and stopping a gateway takes, roughly; for the progress shown."""
    most_s: float = 60.0
    """Whoever is not done by then is too busy for it."""

    def total_s(self, workers: int) -> float:
        """About how long everything takes."""
        rounds = 3 if workers > 1 else 2
        intake_s = (rounds - 1) * (self.warm_s + self.intake_s) + self.backlog_s
        return rounds * self.start_s + intake_s + self.warm_s + self.sustained_s


class _Intake(msgspec.Struct, frozen=True):
    per_s: float
    deliveries_per_s: float


class _Sustained(msgspec.Struct, frozen=True):
    per_s: float
    intake_cpu_us: float
    dispatch_cpu_us: float
    senders_cpu_us: float
    memory_bytes: int
    stored_bytes: float


async def measure(folder: Path, machine: Machine, at_ms: int, times: Times, say: Say) -> Figures:
    """All rounds.

    Args:
        folder: an empty one, on the disk that is meant.
        machine: this one.
        at_ms: now, Unix milliseconds.
        times: how long the rounds are.
        say: told what happens next.

    Raises:
        ComportaError: a gateway does not start, or nothing arrives.
    """
    workers = workers_of(machine.cpus)
    say(_("How long the disk takes"))
    fsync_ms = await asyncio.to_thread(_fsync_ms, folder)
    with Senders(machine.cpus) as senders:
        bench = _Bench(folder, senders, times)
        say(_("Events taken in by one worker"))
        alone = many = await bench.intake(1)
        if workers > 1:
            said = _("Events taken in by {count} workers, and delivered from a backlog")
            say(said.format(count=workers))
            many = await bench.intake(workers)
        say(_("Events taken in and delivered at the same time"))
        whole = await bench.sustained(workers)
    return Figures(
        machine=machine,
        at_ms=at_ms,
        workers=workers,
        new_one_worker_per_s=alone.per_s,
        new_per_s=many.per_s,
        deliveries_per_s=many.deliveries_per_s,
        sustained_per_s=whole.per_s,
        intake_cpu_us=whole.intake_cpu_us,
        dispatch_cpu_us=whole.dispatch_cpu_us,
        senders_cpu_us=whole.senders_cpu_us,
        body_bytes=mean_body_bytes(),
        stored_bytes=whole.stored_bytes,
        worker_memory_mib=whole.memory_bytes / workers / 1024**2,
        fsync_ms=fsync_ms,
    )


class _Bench:
    """The rounds. Each has a gateway of its own, so that none inherits what another left."""

    def __init__(self, folder: Path, senders: Senders, times: Times) -> None:
        self._folder = folder
        self._senders = senders
        self._times = times
        self._secret = secrets.token_urlsafe(24)

    async def intake(self, workers: int) -> _Intake:
        """As much as is accepted; then what becomes of the backlog, while nothing comes in."""
        async with self._stage(workers) as place:
            await self._send(place, self._times.warm_s)
            sent = await self._send(place, self._times.intake_s)
            deliveries_per_s = await self._drain(self._times.backlog_s)
        return _Intake(sent.accepted / sent.duration_s, deliveries_per_s)

    async def sustained(self, workers: int) -> _Sustained:
        """As much as goes in and out with a lag that does not grow."""
        async with self._stage(workers) as place:
            await self._send(place, self._times.warm_s, WAITING_MAX)
            before, arrived, own_s = usage_of(place.pid), self._senders.arrived, time.process_time()
            began_at = time.monotonic()
            sent = await self._send(place, self._times.sustained_s, WAITING_MAX)
            lasted_s = time.monotonic() - began_at
            count = self._senders.arrived - arrived
            after, own_s = usage_of(place.pid), time.process_time() - own_s
            await self._drain(self._times.settle_s)
            events = self._senders.accepted
        if not count:
            said = _("No event was delivered within {seconds} s. Is the disk or the CPU very busy?")
            raise ComportaError(said.format(seconds=f"{lasted_s:.0f}"))
        per_event_us = 1e6 / count
        return _Sustained(
            per_s=count / lasted_s,
            intake_cpu_us=(after.intake_s - before.intake_s) * per_event_us,
            dispatch_cpu_us=(after.dispatch_s - before.dispatch_s) * per_event_us,
            senders_cpu_us=(sent.cpu_s + own_s) * per_event_us,
            memory_bytes=after.memory_bytes,
            # The ledger alone: what is in the log is forgotten within seconds.
            stored_bytes=(place.data / "ledger.db").stat().st_size / events,
        )

    def _stage(self, workers: int) -> AbstractAsyncContextManager[Stage]:
        self._senders.forget()
        return stage(self._folder, self._secret, workers, self._senders.arrive)

    async def _send(self, place: Stage, duration_s: float, waiting_max: int = 0) -> Sent:
        sent = await self._senders.send(place.url, self._secret, duration_s, waiting_max)
        if not sent.accepted:
            said = _("No event was accepted within {seconds} s. Is the disk or the CPU very busy?")
            raise ComportaError(said.format(seconds=f"{duration_s:.0f}"))
        return sent

    async def _drain(self, within_s: float) -> float:
        """Wait until all has arrived, or long enough; deliveries a second meanwhile."""
        began_at, before = time.monotonic(), self._senders.arrived
        ended_at = began_at
        while self._senders.arrived < self._senders.accepted and ended_at < began_at + within_s:
            await asyncio.sleep(_POLL_S)
            ended_at = time.monotonic()
        return (self._senders.arrived - before) / (ended_at - began_at or 1)


def _fsync_ms(folder: Path) -> float:
    """How long it takes to make a few kilobytes durable: the median, in milliseconds."""
    taken_s: list[float] = []
    ends_at = time.monotonic() + _FSYNC_S
    with (folder / "fsync").open("wb", buffering=0) as file:
        while len(taken_s) < _FSYNCS and time.monotonic() < ends_at:
            file.write(bytes(_FSYNC_BYTES))
            began_at = time.perf_counter()
            os.fsync(file.fileno())
            taken_s.append(time.perf_counter() - began_at)
    return median(taken_s) * 1000
