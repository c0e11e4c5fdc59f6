"""What puts a gateway under load for `comporta bench`: several processes, and their counters."""

import asyncio
import itertools
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final, Self

from comporta.cli.bench_sender import ARRIVED, Sent, Task, begin, send_all

SENDERS_MAX: Final = 8
CONNECTIONS: Final = 64
"""Requests under way at once, over all processes."""


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
            self.count, mp_context=spawned, initializer=begin, initargs=(self._counters,)
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
        self._counters[ARRIVED] += 1

    @property
    def arrived(self) -> int:
        """How many have."""
        return int(self._counters[ARRIVED])

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
