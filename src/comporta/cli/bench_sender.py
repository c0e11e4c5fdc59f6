"""A process that sends for `comporta bench`, as Chatwoot does: a connection for each event, signed.

It shares a row of counters with the one that measures, so that it can wait until what was sent has
arrived.
"""

import asyncio
import os
import signal
import threading
import time
from multiprocessing import parent_process
from typing import Any, Final

import msgspec

from comporta.chatwoot.signature import sign
from comporta.cli.bench_bodies import bodies
from comporta.testing.histogram import Histogram
from comporta.testing.http_client import Address, post_once, resolve
from comporta.testing.loop import run
from comporta.testing.simulation import NOT_CONNECTED, TIMED_OUT, accepted

ARRIVED: Final = 0
"""The counter of what has arrived; those of what was accepted by each process follow."""
_TIMEOUT_S: Final = 5.0
"""Chatwoot's."""
_WAIT_S: Final = 0.002

_counters: Any = None


class Task(msgspec.Struct, frozen=True):
    """What one process has to send."""

    number: int
    """Of the process, from 1."""
    round: int
    """So that no event of a round is a repeat of one of another."""
    url: str
    secret: str
    connections: int
    duration_s: float
    waiting_max: int
    """How many accepted events may not have arrived yet, over all processes; 0: no limit."""


class Sent(msgspec.Struct, frozen=True):
    """What came of it."""

    accepted: int
    failed: int
    duration_s: float
    cpu_s: float
    """Of the processes that sent."""
    answer_p99_ms: float


def begin(counters: Any) -> None:
    """A process starts: Ctrl-C is for the one that measures, and it never outlives that one."""
    global _counters  # noqa: PLW0603  (shared memory reaches a process at its start only)
    _counters = counters
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the thread that sends may wait for ever for its next task


def send_all(task: Task) -> Sent:
    """In a process of its own: send until the time is over."""
    return run(_Sending(task).all())


class _Sending:
    """What the connections of one process share."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._bodies = bodies(task.round, task.number)
        self._answers = Histogram()
        self._failed = 0

    async def all(self) -> Sent:
        address = await resolve(self._task.url)
        began_at, cpu_s = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._task.connections):
                group.create_task(self._send(address, began_at + self._task.duration_s))
        return Sent(
            accepted=self._answers.count,
            failed=self._failed,
            duration_s=time.perf_counter() - began_at,
            cpu_s=time.process_time() - cpu_s,
            answer_p99_ms=self._answers.percentile_ms(0.99),
        )

    async def _send(self, address: Address, ends_at: float) -> None:
        while (began_at := time.perf_counter()) < ends_at:
            if self._too_far_ahead():
                await asyncio.sleep(_WAIT_S)
                continue
            request = _request(address, next(self._bodies), self._task.secret)
            try:
                status = await post_once(address, request, _TIMEOUT_S, _TIMEOUT_S)
            except TimeoutError:
                status = TIMED_OUT
            except OSError:
                status = NOT_CONNECTED
            if accepted(status):
                self._answers.add(time.perf_counter() - began_at)
                _counters[self._task.number] += 1
            else:
                self._failed += 1
                await asyncio.sleep(_WAIT_S)

    def _too_far_ahead(self) -> bool:
        most = self._task.waiting_max
        return bool(most) and sum(_counters[1:]) - _counters[ARRIVED] >= most


def _request(address: Address, body: bytes, secret: str) -> bytes:
    stamp = str(int(time.time()))
    signed = f"X-Chatwoot-Timestamp: {stamp}\r\nX-Chatwoot-Signature: {sign(secret, stamp, body)}"
    head = address.head(f"Content-Type: application/json\r\nUser-Agent: Ruby\r\n{signed}\r\n")
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)
