"""What every log must do, whatever engine is behind it.

    class TestMyLog(LogSuite):
        maker = "mypackage.mytests:make"  # make(place: str) -> Log of PARTITIONS, not opened

        def place(self, folder): ...  # what `make` is given; two logs of one place share it
        def break_it(self, folder): ...  # take the store away
        def mend_it(self, folder): ...  # bring it back, with what was in it

It needs a fixture `folder`: a new place that outlives the logs that are made for it.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from pkgutil import resolve_name
from subprocess import Popen
from typing import ClassVar

import pytest

from comporta.domain.event import Record
from comporta.errors import StoreUnavailableError
from comporta.log.port import Batch, Entry, Log
from comporta.testing.conformance import appender
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.children import running
from comporta.testing.conformance.records import (
    ALL_BYTES,
    ENOUGH,
    append_all,
    bare,
    end_of,
    opened,
    read_all,
    record,
    take_all,
    until,
)

DEADLINE_S = 12.0
"""By when an append to a store that is away must have failed."""
ODD_BODIES = [
    b"",
    b"\x00",
    b"\xff\xfe\x00{}\r\n\x1a",
    "açúcar 🌊 \u2028".encode(),
    b"'; DROP TABLE log; --",
    bytes(range(256)) * 7,
]


class LogSuite:
    """The tests; see the module."""

    maker: ClassVar[str]
    """`module:function` that makes a log from a place; child processes call it, too."""

    def place(self, folder: Path) -> str:
        """What the maker is given."""
        raise NotImplementedError

    def make(self, folder: Path) -> Log:
        log: Log = resolve_name(self.maker)(self.place(folder))
        return log

    def appending(
        self, folder: Path, name: str, count: int
    ) -> AbstractContextManager[Popen[bytes]]:
        """A process that appends `count` records (0: endlessly) and prints what is durable."""
        return running(appender.__name__, self.maker, self.place(folder), name, str(count))

    def break_it(self, folder: Path) -> None:
        """Take the store away."""
        raise NotImplementedError

    def mend_it(self, folder: Path) -> None:
        """Bring it back."""
        raise NotImplementedError

    def test_order_within_a_partition_is_the_order_of_appending(self, folder: Path) -> None:
        sent = [record(n % PARTITIONS, b"%d" % n) for n in range(400)]

        async def run() -> list[Entry]:
            log = self.make(folder)
            async with opened(log):
                await append_all(log, sent)
                return await read_all(log)

        found = asyncio.run(run())
        for partition in range(PARTITIONS):
            mine = [entry for entry in found if entry.record.partition == partition]
            assert [bare(one) for one in mine] == sent[partition::PARTITIONS]
            offsets = [one.offset for one in mine]
            assert offsets == sorted(set(offsets))

    @pytest.mark.parametrize("events_max", [1, 7, ENOUGH])
    @pytest.mark.parametrize("bytes_max", [1, 300, ALL_BYTES])
    def test_reading_in_small_steps_brings_everything_once(
        self, folder: Path, events_max: int, bytes_max: int
    ) -> None:
        async def run() -> list[Entry]:
            log = self.make(folder)
            found: list[Entry] = []
            async with opened(log):
                for n in range(40):
                    await append_all(log, [record(n % PARTITIONS, b"x" * n), record(1, b"%d" % n)])
                after = dict.fromkeys(range(PARTITIONS), 0)
                for _step in range(200):
                    batch = await log.read(after, events_max, bytes_max)
                    assert batch.reached.keys() == after.keys()
                    assert all(batch.reached[p] >= offset for p, offset in after.items())
                    found += batch.entries
                    after = batch.reached
                    await log.commit(after)  # some hold only so much that is not committed
            return found

        found = asyncio.run(run())
        assert len(found) == 80
        assert len({(entry.record.partition, entry.offset) for entry in found}) == 80

    def test_one_partition_goes_on_though_nobody_reads_the_others(self, folder: Path) -> None:
        async def run() -> list[Entry]:
            log = self.make(folder)
            async with opened(log):
                await append_all(log, [record(n % PARTITIONS, b"%d" % n) for n in range(200)])
                return await read_all(log, [2])

        found = asyncio.run(run())
        assert [entry.record.body for entry in found] == [b"%d" % n for n in range(2, 200, 4)]

    def test_who_asks_for_nothing_gets_nothing(self, folder: Path) -> None:
        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                await log.append(record())
                assert await log.read({}, ENOUGH, ALL_BYTES) == Batch((), {})
                assert len(await read_all(log)) == 1
                assert await log.read({}, ENOUGH, ALL_BYTES) == Batch((), {})

        asyncio.run(run())

    @pytest.mark.parametrize("body", ODD_BODIES, ids=lambda body: repr(body[:12]))
    def test_bytes_of_any_kind_come_back_as_they_went_in(self, folder: Path, body: bytes) -> None:
        odd = Record(3, 2**53, "ins_é", "", "", None, "", True, (("x-chatwoot-a", "\x80ÿ"),), body)

        async def run() -> list[Entry]:
            log = self.make(folder)
            async with opened(log):
                await log.append(odd)
                return await read_all(log)

        assert [bare(entry) for entry in asyncio.run(run())] == [odd]

    def test_ten_mebibytes_come_back_whole_and_a_read_stops_after_them(self, folder: Path) -> None:
        body = os.urandom(10 << 20)

        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                for _ in range(3):
                    await log.append(record(0, body))
                batch = await log.read({0: 0}, ENOUGH, 1 << 20)
                assert [entry.record.body == body for entry in batch.entries] == [True]
                assert len(await read_all(log)) == 3

        asyncio.run(run())

    def test_several_processes_append_at_once_and_nothing_is_lost_or_out_of_order(
        self, folder: Path
    ) -> None:
        names = ["a", "b", "c"]
        with ExitStack() as stack:
            writers = [stack.enter_context(self.appending(folder, n, 400)) for n in names]
            for writer in writers:
                assert writer.wait(60) == 0
        found = [json.loads(entry.record.body) for entry in self.everything(folder)]
        for name in names:
            for partition in range(PARTITIONS):
                mine = [
                    one["n"]
                    for one in found
                    if one["writer"] == name and one["n"] % PARTITIONS == partition
                ]
                assert mine == list(range(partition, 400, PARTITIONS))

    def test_what_was_acknowledged_outlives_kill_9_and_others_go_on_at_once(
        self, folder: Path
    ) -> None:
        acknowledged: list[bytes] = []
        with (
            self.appending(folder, "victim", 0) as victim,
            self.appending(folder, "heir", 0) as heir,
        ):
            assert victim.stdout is not None
            assert heir.stdout is not None
            acknowledged += [victim.stdout.readline() for _ in range(300)]
            victim.send_signal(signal.SIGKILL)
            acknowledged += victim.stdout.readlines()
            while heir.poll() is None and len(acknowledged) < 1_200:
                acknowledged.append(heir.stdout.readline())
        bodies = {entry.record.body for entry in self.everything(folder)}
        assert not {line.strip() for line in acknowledged} - bodies
        assert len(acknowledged) >= 1_200

    def everything(self, folder: Path) -> Sequence[Entry]:
        async def run() -> list[Entry]:
            log = self.make(folder)
            async with opened(log):
                return await take_all(log)

        return asyncio.run(run())

    def test_it_has_a_name_that_stays(self, folder: Path) -> None:
        async def name() -> str:
            log = self.make(folder)
            async with opened(log):
                return await log.identity()

        assert asyncio.run(name()) == asyncio.run(name()) != ""

    def test_what_one_appends_another_reads(self, folder: Path) -> None:
        async def run() -> None:
            one, other = self.make(folder), self.make(folder)
            async with opened(one, other):
                await append_all(one, [record(0, b"1")])
                assert [entry.record.body for entry in await read_all(other)] == [b"1"]

        asyncio.run(run())

    def test_waiting_ends_with_an_append_and_with_its_time(self, folder: Path) -> None:
        async def run() -> None:
            log = self.make(folder)
            async with opened(log), asyncio.timeout(10):
                await log.wait(0.01)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(log.wait(60))
                    await asyncio.sleep(0)
                    await log.append(record())

        asyncio.run(run())

    def test_cancelled_appends_leak_nothing_and_the_log_goes_on(self, folder: Path) -> None:
        async def one_append(log: Log, n: int) -> None:
            await log.append(record(0, b"%d" % n))

        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                tasks = [asyncio.create_task(one_append(log, n)) for n in range(200)]
                await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(result is None for result in results[1::2])
                await log.append(record(0, b"last"))
                assert log.pending_bytes == 0
                bodies = [entry.record.body for entry in await read_all(log)]
                assert bodies[-1] == b"last"
                assert {b"%d" % n for n in range(1, 200, 2)} <= set(bodies)

        asyncio.run(run())

    def test_what_waits_is_counted_in_bytes_until_it_is_durable(self, folder: Path) -> None:
        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                waiting = [log.append(record(0, b"x" * 1_000)) for _ in range(5)]
                assert log.pending_bytes == 5_000
                await asyncio.gather(*waiting)
                assert log.pending_bytes == 0

        asyncio.run(run())

    def test_closing_makes_durable_what_was_handed_over(self, folder: Path) -> None:
        async def run() -> None:
            log = self.make(folder)
            await log.open()
            waiting = [log.append(record(0, b"%d" % n)) for n in range(500)]
            await log.close()
            await asyncio.gather(*waiting)

        asyncio.run(run())
        assert len(self.everything(folder)) == 500

    def test_lag_is_all_that_is_not_committed_and_settles_to_zero(self, folder: Path) -> None:
        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                assert await log.lag() == 0
                await append_all(log, [record(n % PARTITIONS) for n in range(100)])
                assert await log.lag() == 100
                last = await end_of(log)
                await log.commit({0: last[0]})

                async def settled() -> bool:
                    await log.commit(last)
                    return await log.lag() == 0

                await until("lag settles to zero", settled)

        asyncio.run(run())

    def test_a_partition_that_nobody_has_read_yet_counts_as_lag(self, folder: Path) -> None:
        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                await append_all(log, [record(0), *[record(3) for _ in range(10)]])
                await log.commit(await end_of(log, [0]))
                assert await log.lag() >= 10

        asyncio.run(run())

    def test_the_log_forgets_what_is_committed_and_nothing_else(self, folder: Path) -> None:
        async def of_partition(log: Log, partition: int) -> list[Entry]:
            # All are read: what is not asked for may be let go, and come again at other offsets.
            return [e for e in await read_all(log) if e.record.partition == partition]

        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                for n in range(12):
                    await append_all(log, [record(p, b"%d" % n) for p in range(PARTITIONS)])
                last = await end_of(log)
                middle = (await of_partition(log, 3))[5].offset
                wanted = [e for e in await of_partition(log, 3) if e.offset > middle]

                async def shorter() -> bool:
                    await log.commit(last | {3: middle})
                    return len(await of_partition(log, 0)) < 10

                await until("committed entries go", shorter)
                kept = [e for e in await of_partition(log, 3) if e.offset > middle]
                assert kept == wanted

        asyncio.run(run())

    def test_a_watermark_never_falls(self, folder: Path) -> None:
        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                await append_all(log, [record(p) for p in range(PARTITIONS)])
                last = await end_of(log)

                async def settled() -> bool:
                    await log.commit(last)
                    return await log.lag() == 0

                await until("lag settles to zero", settled)
            again = self.make(folder)
            async with opened(again):
                await again.commit(dict.fromkeys(range(PARTITIONS), 1))

                async def still() -> bool:
                    return await again.lag() == 0

                await until("lag is zero as before", still)

        asyncio.run(run())

    def test_what_was_not_committed_is_there_after_a_restart(self, folder: Path) -> None:
        async def fill() -> None:
            log = self.make(folder)
            async with opened(log):
                await append_all(log, [record(n % PARTITIONS, b"%d" % n) for n in range(50)])

        asyncio.run(fill())
        assert len(self.everything(folder)) == 50

    def test_an_append_to_a_store_that_is_away_fails_in_time_and_the_log_recovers_by_itself(
        self, folder: Path
    ) -> None:
        async def run() -> None:
            log = self.make(folder)
            async with opened(log):
                await log.append(record(0, b"before"))
                self.break_it(folder)

                async def refused() -> bool:
                    try:
                        async with asyncio.timeout(DEADLINE_S):
                            await log.append(record(0, b"meanwhile"))
                    except StoreUnavailableError as error:
                        return len(str(error)) > 20
                    return False

                await until("an append is refused in words", refused)
                assert log.health().error
                assert log.pending_bytes == 0
                self.mend_it(folder)
                began = time.monotonic()

                async def healthy() -> bool:
                    return not log.health().error

                await until("health is green again though nobody appends", healthy)
                assert time.monotonic() - began < 5
                await log.append(record(0, b"after"))

                async def arrived() -> bool:
                    return (await read_all(log))[-1].record.body == b"after"

                await until("what is appended then can be read", arrived)

        asyncio.run(run())

    def test_opening_a_store_that_is_away_does_not_fail_and_health_tells(
        self, folder: Path
    ) -> None:
        async def run() -> None:
            self.break_it(folder)
            log = self.make(folder)
            async with opened(log):
                with pytest.raises(StoreUnavailableError):
                    await log.append(record())
                assert log.health().error
                self.mend_it(folder)

                async def healthy() -> bool:
                    return not log.health().error

                await until("health is green", healthy)
                await log.append(record())

        asyncio.run(run())
