"""Several processes before a broker that comes and goes, and processes that are killed meanwhile.

What was acknowledged has to reach the broker, in order for each conversation, whatever happens.
"""

import asyncio
import random
import time
from pathlib import Path

import pytest
from tests.faults.spooling import Appenders, assert_in_order
from tests.support.fallible import FallibleLog, Fault, fail, mend

from comporta.log.port import Log
from comporta.log.spool.file import SpoolFile
from comporta.log.spool.log import SpooledLog
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.records import opened, record, until

AFTER_S = 0.2
ROUNDS = 24
ACKNOWLEDGED_A_ROUND = 150


def make(place: str) -> Log:
    folder = Path(place)
    file = SpoolFile(folder, PARTITIONS, bytes_max=1 << 30)
    return SpooledLog(FallibleLog(folder, PARTITIONS), file, after_s=AFTER_S, drains=True)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_out_of_order_though_the_broker_comes_and_goes_and_processes_die(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    appenders = Appenders(f"{__name__}:make", str(tmp_path))
    with appenders.one(), appenders.one():
        for _round in range(ROUNDS // 2):
            with appenders.one() as victim:
                for _half in range(2):
                    some = chance.sample(range(PARTITIONS), chance.choice([0, 0, 1, 2]))
                    fail(tmp_path, chance.choice(list(Fault)), *some)
                    appenders.go_on(chance.randrange(ACKNOWLEDGED_A_ROUND))
                    mend(tmp_path)
                    appenders.go_on(chance.randrange(ACKNOWLEDGED_A_ROUND))
                victim.kill()
    assert len(appenders.acknowledged) > ROUNDS * ACKNOWLEDGED_A_ROUND / 4
    bodies = asyncio.run(appenders.at_the_broker())
    assert not set(appenders.acknowledged) - set(bodies)
    assert_in_order(bodies)


def test_who_sends_the_spool_on_is_killed_and_another_one_goes_on_within_seconds(
    tmp_path: Path,
) -> None:
    appenders = Appenders(f"{__name__}:make", str(tmp_path))
    with appenders.one() as drainer:
        appenders.go_on(50)
        with appenders.one():
            fail(tmp_path, Fault.DOWN)
            appenders.go_on(500)
            drainer.kill()
            mend(tmp_path)
            began = time.monotonic()
            known = (tmp_path / "broker.db-wal").stat().st_size
            while (tmp_path / "broker.db-wal").stat().st_size < known + 100_000:
                assert time.monotonic() < began + 5, "nobody goes on"
                time.sleep(0.02)
    bodies = asyncio.run(appenders.at_the_broker())
    assert not set(appenders.acknowledged) - set(bodies)
    assert_in_order(bodies)


@pytest.mark.alone
def test_when_the_broker_freezes_the_first_wait_for_their_deadline_and_the_rest_for_milliseconds(
    tmp_path: Path,
) -> None:
    async def one(log: Log, n: int, took_s: list[float]) -> None:
        began = time.monotonic()
        await log.append(record(n % PARTITIONS, b"%d" % n, subject=f"conversation:{n}"))
        took_s.append(time.monotonic() - began)

    async def run() -> tuple[list[float], list[float]]:
        log = make(str(tmp_path))
        early: list[float] = []
        late: list[float] = []
        async with opened(log), asyncio.TaskGroup() as tasks:
            fail(tmp_path, Fault.FROZEN)
            frozen_at = time.monotonic()
            for n in range(1_500):
                tripped = time.monotonic() > frozen_at + AFTER_S + 0.15
                tasks.create_task(one(log, n, late if tripped else early))
                await asyncio.sleep(0.001)
            mend(tmp_path)
        return sorted(early), sorted(late)

    early, late = asyncio.run(run())
    assert early[-1] < AFTER_S + 0.5
    assert len(late) > 500
    assert late[int(len(late) * 0.99)] < AFTER_S
    bodies = asyncio.run(Appenders(f"{__name__}:make", str(tmp_path)).at_the_broker())
    assert len(bodies) == 1_500


def test_a_hundred_thousand_spooled_events_are_sent_on_in_less_than_a_minute(
    tmp_path: Path,
) -> None:
    count, lanes = 100_000, 500

    async def run() -> tuple[float, int]:
        log = make(str(tmp_path))
        assert isinstance(log, SpooledLog)
        async with opened(log):
            fail(tmp_path, Fault.DOWN)
            for first in range(0, count, 1_000):
                await asyncio.gather(
                    *[
                        log.append(
                            record(n % PARTITIONS, b"%d" % n, subject=f"conversation:{n % lanes}")
                        )
                        for n in range(first, first + 1_000)
                    ]
                )
            assert log.waiting == count
            mend(tmp_path)
            began = time.monotonic()

            async def clear() -> bool:
                return not log.active

            await until("the spool is sent on", clear, within_s=120)
            return time.monotonic() - began, log.waiting

    took_s, waiting = asyncio.run(run())
    assert waiting == 0
    assert took_s < 60
    numbers = [
        int(body)
        for body in asyncio.run(Appenders(f"{__name__}:make", str(tmp_path)).at_the_broker())
    ]
    assert sorted(numbers) == list(range(count))
    last = dict.fromkeys(range(lanes), -1)
    for n in numbers:
        assert last[n % lanes] < n
        last[n % lanes] = n
