"""Several processes before a broker that comes and goes, and processes that are killed meanwhile.

What was acknowledged has to reach the broker, in order for each conversation, whatever happens.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from tests.support.fallible import FallibleLog, Fault, fail, mend

from comporta.log.port import Log
from comporta.log.spool import SpooledLog
from comporta.log.spool_file import SpoolFile
from comporta.testing.conformance import appender
from comporta.testing.conformance.appender import AT_A_TIME, PARTITIONS
from comporta.testing.conformance.children import running
from comporta.testing.conformance.records import opened, read_all, record, until

AFTER_S = 0.2
ROUNDS = 24
ACKNOWLEDGED_A_ROUND = 150
STUCK_S = 30.0


def make(place: str) -> Log:
    folder = Path(place)
    file = SpoolFile(folder, PARTITIONS, bytes_max=1 << 30)
    return SpooledLog(FallibleLog(folder, PARTITIONS), file, after_s=AFTER_S, drains=True)


class Appenders:
    """Processes that append, and what they printed as acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.acknowledged: list[bytes] = []
        self._folder = folder
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[Popen[bytes]]:
        self._count += 1
        name = f"w{self._count}"
        with running(appender.__name__, f"{__name__}:make", str(self._folder), name, "0") as child:
            listener = threading.Thread(target=self._listen, args=(child,))
            listener.start()
            try:
                yield child
            finally:
                child.kill()
                listener.join()

    def _listen(self, child: Popen[bytes]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(b"{"):  # and not a line of a log for people
                self.acknowledged.append(line.strip())

    def go_on(self, events: int) -> None:
        """Wait until so many more are acknowledged."""
        until_count = len(self.acknowledged) + events
        ends_at = time.monotonic() + STUCK_S
        while len(self.acknowledged) < until_count:
            assert time.monotonic() < ends_at, "nothing is acknowledged any more"
            time.sleep(0.005)


async def at_the_broker(folder: Path) -> list[bytes]:
    """What the broker has in the end, the first copy of each."""
    log = make(str(folder))
    assert isinstance(log, SpooledLog)
    async with opened(log):

        async def clear() -> bool:
            return not log.active and not log.waiting

        await until("the spool is sent on", clear, within_s=60)
        found: dict[bytes, bytes] = {}
        for entry in await read_all(log):
            found.setdefault(entry.record.uid, entry.record.body)
        return list(found.values())


def assert_in_order(bodies: list[bytes]) -> None:
    """A writer appends a group when the one before is acknowledged: so groups are in order."""
    lanes: dict[tuple[str, int], list[int]] = {}
    for one in map(json.loads, bodies):
        lanes.setdefault((one["writer"], one["n"] % PARTITIONS), []).append(one["n"] // AT_A_TIME)
    for lane, groups in lanes.items():
        assert groups == sorted(groups), lane


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_out_of_order_though_the_broker_comes_and_goes_and_processes_die(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    appenders = Appenders(tmp_path)
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
    bodies = asyncio.run(at_the_broker(tmp_path))
    assert not set(appenders.acknowledged) - set(bodies)
    assert_in_order(bodies)


def test_who_sends_the_spool_on_is_killed_and_another_one_goes_on_within_seconds(
    tmp_path: Path,
) -> None:
    appenders = Appenders(tmp_path)
    with appenders.one() as drainer:
        appenders.go_on(50)
        with appenders.one():
            fail(tmp_path, Fault.DOWN)
            appenders.go_on(1_000)
            drainer.kill()
            mend(tmp_path)
            began = time.monotonic()
            known = (tmp_path / "broker.db-wal").stat().st_size
            while (tmp_path / "broker.db-wal").stat().st_size < known + 100_000:
                assert time.monotonic() < began + 5, "nobody goes on"
                time.sleep(0.02)
    bodies = asyncio.run(at_the_broker(tmp_path))
    assert not set(appenders.acknowledged) - set(bodies)
    assert_in_order(bodies)


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
    bodies = asyncio.run(at_the_broker(tmp_path))
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
    numbers = [int(body) for body in asyncio.run(at_the_broker(tmp_path))]
    assert sorted(numbers) == list(range(count))
    last = dict.fromkeys(range(lanes), -1)
    for n in numbers:
        assert last[n % lanes] < n
        last[n % lanes] = n
