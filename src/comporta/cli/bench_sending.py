"""What puts a gateway under load for `comporta bench`: processes that send as Chatwoot does.

Each event has a connection of its own and a signature. The processes share a row of counters with
the one that measures, so that they can wait until what they sent has arrived.
"""

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from multiprocessing import get_context, parent_process
from typing import Any, Final, Self

import msgspec

from comporta.chatwoot.signature import sign
from comporta.testing.histogram import Histogram
from comporta.testing.http_client import Address, post_once, resolve
from comporta.testing.loop import run
from comporta.testing.simulation import NOT_CONNECTED, TIMED_OUT, accepted

SENDERS_MAX: Final = 8
CONNECTIONS: Final = 64
"""Requests under way at once, over all processes."""
_CONVERSATIONS: Final = 64
_TIMEOUT_S: Final = 5.0
"""Chatwoot's."""
_WAIT_S: Final = 0.002
_MARKER: Final = "@NUMBER@"
_FIRST: Final = 100_000_000_000
_ARRIVED: Final = 0
"""The counter of what has arrived; those of what was accepted by each process follow."""

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


class Senders:
    """The processes, ready to send; use it with `with`.

    Args:
        cpus: of this machine; a third of them send, for the gateway needs more than that.
    """

    def __init__(self, cpus: int) -> None:
        self.count = max(1, min(SENDERS_MAX, cpus // 3))
        spawned = get_context("spawn")
        self._counters = spawned.RawArray("Q", self.count + 1)
        self._pool = ProcessPoolExecutor(
            self.count, mp_context=spawned, initializer=_begin, initargs=(self._counters,)
        )
        self._rounds = itertools.count(1)

    def __enter__(self) -> Self:
        """Nothing is started before it is needed."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Wait for what is under way, which its duration bounds."""
        self._pool.shutdown(cancel_futures=True)

    def arrive(self) -> None:
        """Count an event that has reached its destination."""
        self._counters[_ARRIVED] += 1

    @property
    def arrived(self) -> int:
        """How many have."""
        return int(self._counters[_ARRIVED])

    @property
    def accepted(self) -> int:
        """How many were answered with 2xx."""
        return sum(self._counters[1:])

    def forget(self) -> None:
        """Count from zero: another gateway, another destination."""
        for index in range(self.count + 1):
            self._counters[index] = 0

    async def send(self, url: str, secret: str, duration_s: float, waiting_max: int = 0) -> Sent:
        """Send for so long; the sum of what all processes did."""
        loop, turn = asyncio.get_running_loop(), next(self._rounds)
        each = max(1, CONNECTIONS // self.count)
        tasks = [
            Task(number, turn, url, secret, each, duration_s, waiting_max)
            for number in range(1, self.count + 1)
        ]
        done = await asyncio.gather(
            *(loop.run_in_executor(self._pool, send_all, task) for task in tasks)
        )
        return Sent(
            accepted=sum(one.accepted for one in done),
            failed=sum(one.failed for one in done),
            duration_s=max(one.duration_s for one in done),
            cpu_s=sum(one.cpu_s for one in done),
            answer_p99_ms=max(one.answer_p99_ms for one in done),
        )


def _begin(counters: Any) -> None:
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
        self._bodies = _bodies(task)
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
        return bool(most) and sum(_counters[1:]) - _counters[_ARRIVED] >= most


def _request(address: Address, body: bytes, secret: str) -> bytes:
    stamp = str(int(time.time()))
    signed = f"X-Chatwoot-Timestamp: {stamp}\r\nX-Chatwoot-Signature: {sign(secret, stamp, body)}"
    head = address.head(f"Content-Type: application/json\r\nUser-Agent: Ruby\r\n{signed}\r\n")
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


def _bodies(task: Task) -> Iterator[bytes]:
    """Messages that never repeat, in turn from several conversations."""
    first = _FIRST + (task.round * (SENDERS_MAX + 1) + task.number) * 100_000_000
    for number, form in zip(itertools.count(first), itertools.cycle(_forms(task.number))):
        yield form.replace(_MARKER.encode(), str(number).encode())


def _forms(sender: int) -> tuple[bytes, ...]:
    """One `message_created` for each of a sender's conversations; its id is a marker."""
    file = resources.files("comporta.testing") / "payloads" / "message_created.json"
    payload: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    made = []
    for conversation in range(_CONVERSATIONS):
        payload["id"] = _MARKER
        payload["conversation"]["id"] = sender * 1000 + conversation
        made.append(msgspec.json.encode(payload).replace(f'"{_MARKER}"'.encode(), _MARKER.encode()))
    return tuple(made)


def mean_body_bytes() -> float:
    """The size of what is sent."""
    forms = _forms(1)
    return sum(map(len, forms)) / len(forms) - len(_MARKER) + len(str(_FIRST))
