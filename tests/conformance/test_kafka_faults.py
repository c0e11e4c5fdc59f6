"""What goes wrong around a Kafka log: brokers killed and frozen, connections cut, members killed.

After each, everything that was acknowledged is there, in the order in which it was appended.
"""

import asyncio
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import pytest
from tests.support import kafka_member
from tests.support.proxy import Proxy
from tests.support.servers.kafka import Kafka

from comporta.errors import StoreUnavailableError
from comporta.log.kafka.log import KafkaLog
from comporta.testing.conformance.children import running
from comporta.testing.conformance.records import append_all, opened, read_all, record, until

PARTITIONS = 4
WRITERS = 8
TAKE_OVER_S = 10.0
RECOVERY_S = 5.0


def log_at(url: str) -> KafkaLog:
    return KafkaLog(url, PARTITIONS, body_bytes_max=1 << 20)


class Load:
    """Writers that each append one record after the other, and remember which are durable."""

    def __init__(self, log: KafkaLog) -> None:
        self.durable: list[list[bytes]] = [[] for _ in range(WRITERS)]
        self.refusals: list[tuple[float, str]] = []
        self._log, self._stop = log, False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write(number)) for number in range(WRITERS)]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)

    @property
    def count(self) -> int:
        return sum(map(len, self.durable))

    async def grows(self) -> None:
        """Return once more is durable than now."""
        now = self.count

        async def more() -> bool:
            return self.count > now + WRITERS

        await until("appends are confirmed", more)

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._stop:
            body = b"%d %d" % (writer, number)
            number += 1
            began = time.monotonic()
            try:
                await self._log.append(record(writer % PARTITIONS, body))
            except StoreUnavailableError as error:
                self.refusals.append((time.monotonic() - began, str(error)))
                await asyncio.sleep(0.05)
            else:
                self.durable[writer].append(body)

    async def check(self) -> None:
        """Everything durable can be read, once, and in order for each writer."""
        found = [entry.record.body for entry in await read_all(self._log)]
        assert len(found) == len(set(found))
        for writer, durable in enumerate(self.durable):
            mine = [body for body in found if body.startswith(b"%d " % writer)]
            assert not set(durable) - set(mine)
            assert mine == sorted(mine, key=lambda body: int(body.split()[1]))


def under_load(url: str, fault: Callable[[KafkaLog, Load], Awaitable[None]]) -> Load:
    async def run() -> Load:
        log = log_at(url)
        async with opened(log):
            async with Load(log) as load:
                await load.grows()
                await fault(log, load)
                await load.grows()
            await load.check()
        return load

    return asyncio.run(run())


async def health_within(log: KafkaLog, seconds: float) -> None:
    async def healthy() -> bool:
        return not log.health().error

    await until("health is green", healthy, seconds)


def test_what_is_acknowledged_outlives_a_broker_that_is_killed_and_started_again(
    kafka: Kafka,
) -> None:
    async def fault(log: KafkaLog, _load: Load) -> None:
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        await health_within(log, RECOVERY_S)

    under_load(f"{kafka.url}/killed", fault)


def test_a_broker_that_is_frozen_for_20_s_is_missed_in_words_and_loses_nothing(
    kafka: Kafka,
) -> None:
    async def fault(log: KafkaLog, _load: Load) -> None:
        kafka.freeze()
        try:
            with pytest.raises(StoreUnavailableError):
                async with asyncio.timeout(2):
                    await log.probe()
            await asyncio.sleep(20)  # that is what is tested
        finally:
            kafka.thaw()
        await health_within(log, RECOVERY_S)

    load = under_load(f"{kafka.url}/frozen", fault)
    assert load.refusals
    assert max(seconds for seconds, _ in load.refusals) < 8
    # Once it goes on, the cluster takes it for lost: its partitions have no leader for a moment.
    told = {words for _, words in load.refusals if "Kafka" not in words}
    assert {words for words in told if "have no leader" not in words} == set()


def test_a_broker_that_is_frozen_for_a_moment_refuses_nothing(kafka: Kafka) -> None:
    async def fault(_log: KafkaLog, _load: Load) -> None:
        kafka.freeze()
        try:
            await asyncio.sleep(2)
        finally:
            kafka.thaw()

    assert not under_load(f"{kafka.url}/still", fault).refusals


def test_connections_that_are_cut_amid_a_message_cost_nothing(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path)
    with Proxy(kafka.behind_port) as proxy:
        kafka.tell_proxied(proxy.port)

        async def fault(_log: KafkaLog, load: Load) -> None:
            for size in (1_000, 10_000, 37, 100_000):
                proxy.cut_after(size)
                await load.grows()

        with kafka:
            load = under_load(f"kafka://127.0.0.1:{proxy.port}/cut", fault)
            assert proxy.passed_bytes
    assert not load.refusals


class Member:
    """A member of the group in a process of its own, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._said: queue.Queue[dict[str, object]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def hear(self, within_s: float = TAKE_OVER_S) -> dict[str, object]:
        """What it says next."""
        return self._said.get(timeout=within_s)

    def changes_until(self, count: int, within_s: float = TAKE_OVER_S) -> list[set[int]]:
        """What it was given, change by change, until that is `count` partitions."""
        changes: list[set[int]] = []
        ends_at = time.monotonic() + within_s
        while not changes or len(changes[-1]) != count:
            line = self.hear(max(0.01, ends_at - time.monotonic()))
            if isinstance(assigned := line.get("assigned"), list):
                changes.append(set(assigned))
        return changes

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))


@contextmanager
def members(url: str, count: int) -> Iterator[list[Member]]:
    with ExitStack() as stack:
        yield [
            Member(stack.enter_context(running(kafka_member.__name__, url, str(PARTITIONS))))
            for _ in range(count)
        ]


def test_the_partitions_of_a_member_that_is_killed_move_within_10_s(kafka: Kafka) -> None:
    url = f"{kafka.url}/orphans"
    with members(url, 2) as (victim, heir):
        victim.changes_until(2)
        mine = heir.changes_until(2)[-1]
        began = time.monotonic()
        os.kill(victim.process.pid, signal.SIGKILL)
        changes = heir.changes_until(PARTITIONS)
        assert time.monotonic() - began < TAKE_OVER_S
        assert all(mine <= change for change in changes)


def test_a_member_that_ends_in_good_order_gives_its_partitions_back_at_once(kafka: Kafka) -> None:
    async def run() -> None:
        one, other = log_at(f"{kafka.url}/leaving"), log_at(f"{kafka.url}/leaving")
        async with opened(one):
            async with opened(other):
                await until("both have a share", lambda: shared(one, other))
            await until("one has all", lambda: has(one, PARTITIONS), within_s=3)

    async def has(log: KafkaLog, count: int) -> bool:
        return len(log.assigned() or ()) == count

    async def shared(*logs: KafkaLog) -> bool:
        return [await has(log, 2) for log in logs] == [True, True]

    asyncio.run(run())


def test_who_stays_keeps_what_stays_when_another_joins(kafka: Kafka) -> None:
    url = f"{kafka.url}/joining"
    with members(url, 1) as (first,):
        before = first.changes_until(PARTITIONS)[-1]
        with members(url, 1) as (second,):
            theirs = second.changes_until(2)[-1]
            # Cooperative: what it keeps is never taken from it on the way.
            for change in first.changes_until(2):
                assert change >= before - theirs


def test_a_member_that_was_frozen_gives_up_what_others_have_by_now(kafka: Kafka) -> None:
    url = f"{kafka.url}/sleeping"
    with members(url, 2) as (sleeper, other):
        sleeper.changes_until(2)
        other.changes_until(2)
        sleeper.process.send_signal(signal.SIGSTOP)
        try:
            other.changes_until(PARTITIONS)
        finally:
            sleeper.process.send_signal(signal.SIGCONT)
        sleeper.changes_until(0)
        sleeper.changes_until(2)
        other.changes_until(2)


def test_what_is_appended_reaches_whoever_has_its_partition(kafka: Kafka) -> None:
    url = f"{kafka.url}/reaching"

    async def append(first: int, last: int) -> None:
        log = log_at(url)
        async with opened(log):
            await append_all(log, [record(n % PARTITIONS, b"%d" % n) for n in range(first, last)])

    with members(url, 2) as both:
        for member in both:
            member.changes_until(2)
        asyncio.run(append(0, 100))
        lines = [member.hear() for member in both for _ in range(50)]
        assert {line["read"] for line in lines} == {str(n) for n in range(100)}
        both[0].process.kill()
        both[1].changes_until(PARTITIONS)
        # From the start, for this reader has no ledger: the same again, and what comes now.
        asyncio.run(append(100, 104))
        lines = [both[1].hear() for _ in range(54)]
        assert {str(n) for n in range(100, 104)} <= {line["read"] for line in lines}
