import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.fallible import FallibleLog, Fault, fail, mend

from comporta.domain.event import Record
from comporta.embedded.gate import gate_of
from comporta.errors import StoreUnavailableError
from comporta.log.port import Log
from comporta.log.spool import log as spool_module
from comporta.log.spool.file import SpoolFile
from comporta.log.spool.log import SpooledLog
from comporta.testing.conformance.records import bare, opened, read_all, record, until

PARTITIONS = 4
AFTER_S = 0.3
SOON_S = 0.35
"""A machine that is busy otherwise: what is meant is "without waiting for the broker"."""


class Server:
    """A broker that can fail, and the logs of processes before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counted: list[str] = []

    def broker(self) -> FallibleLog:
        return FallibleLog(self.folder, PARTITIONS)

    def log(self, *, drains: bool = True, mib: int = 100, spool: Path | None = None) -> SpooledLog:
        self.file = SpoolFile(spool or self.folder, PARTITIONS, bytes_max=mib << 20)
        self.at = self.broker()
        return SpooledLog(
            self.at,
            self.file,
            after_s=AFTER_S,
            drains=drains,
            observe=lambda what, events: self.counted.extend([what] * events),
        )

    def fail(self, fault: Fault, *partitions: int) -> None:
        fail(self.folder, fault, *partitions)

    def mend(self) -> None:
        mend(self.folder)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def numbered(n: int, partition: int | None = None) -> Record:
    place = n % PARTITIONS if partition is None else partition
    return record(place, b"%d" % n, subject=f"conversation:{place + PARTITIONS * (n % 3)}")


async def arrived(log: Log, count: int) -> list[Record]:
    """What the broker has, once it has so many; a later copy of the same is left out."""

    async def all_there() -> list[Record]:
        found = {entry.record.uid: bare(entry) for entry in reversed(await read_all(log))}
        return list(found.values())[::-1] if len(found) >= count else []

    return await until(f"{count} events at the broker", all_there)


def in_lanes(records: Sequence[Record]) -> dict[tuple[int, str], list[bytes]]:
    lanes: dict[tuple[int, str], list[bytes]] = {}
    for one in records:
        lanes.setdefault((one.partition, one.subject), []).append(one.body)
    return lanes


async def cleared(log: SpooledLog) -> None:
    async def clear() -> bool:
        return not log.active

    await until("no flag is set", clear)


async def took_s(log: SpooledLog, one: Record) -> float:
    began = time.monotonic()
    await log.append(one)
    return time.monotonic() - began


async def taken(log: SpooledLog, one: Record) -> bool:
    try:
        await log.append(one)
    except StoreUnavailableError:
        return False
    return True


@pytest.mark.parametrize("fault", Fault)
def test_while_the_broker_is_away_events_are_taken_and_it_gets_them_in_order_when_it_is_back(
    server: Server, fault: Fault
) -> None:
    sent = [numbered(n) for n in range(60)]

    async def run() -> list[Record]:
        log = server.log()
        async with opened(log):
            for one in sent[:20]:
                await log.append(one)
            server.fail(fault)
            for one in sent[20:40]:
                await log.append(one)
            assert log.active
            assert log.waiting == 20
            server.mend()
            for one in sent[40:]:
                await log.append(one)
            await cleared(log)
            return await arrived(log, len(sent))

    assert in_lanes(asyncio.run(run())) == in_lanes(sent)


def test_only_the_first_event_waits_for_a_broker_that_is_frozen(server: Server) -> None:
    async def run() -> None:
        log = server.log()
        async with opened(log):
            server.fail(Fault.FROZEN)
            first_s = await took_s(log, numbered(0))
            assert AFTER_S <= first_s < AFTER_S + SOON_S
            asked = server.at.handed
            assert max([await took_s(log, numbered(n)) for n in range(1, 50)]) < SOON_S
            assert server.at.handed == asked, "a broker that is away was bothered"

    asyncio.run(run())


def test_a_broker_that_refuses_costs_no_wait(server: Server) -> None:
    async def run() -> None:
        log = server.log()
        async with opened(log):
            server.fail(Fault.DOWN)
            assert max([await took_s(log, numbered(n)) for n in range(20)]) < SOON_S

    asyncio.run(run())


def test_a_record_that_is_confirmed_too_late_is_there_twice_under_one_id(server: Server) -> None:
    async def run() -> None:
        log = server.log()
        async with opened(log):
            server.fail(Fault.LATE)
            await log.append(numbered(1))
            server.mend()
            await cleared(log)
            one, other = await read_all(log)
            assert one.record == other.record
            assert len(one.record.uid) == 16

    asyncio.run(run())


def test_what_a_crash_left_in_the_spool_goes_before_what_comes_next(server: Server) -> None:
    sent = [numbered(n, 1) for n in range(30)]

    async def before() -> None:
        log = server.log()
        async with opened(log):
            server.fail(Fault.DOWN)
            for one in sent[:20]:
                await log.append(one)

    async def after() -> list[Record]:
        log = server.log()
        async with opened(log):
            for one in sent[20:]:
                await log.append(one)
            return await arrived(log, len(sent))

    asyncio.run(before())
    # A power cut may leave any state of the flags.
    (server.folder / "spool.flags").write_bytes(bytes(88))
    server.mend()
    assert in_lanes(asyncio.run(after())) == in_lanes(sent)


def test_one_partition_that_fails_does_not_keep_the_others_in_the_spool(server: Server) -> None:
    sent = [numbered(n) for n in range(80)]

    async def run() -> list[Record]:
        log = server.log()
        async with opened(log):
            server.fail(Fault.DOWN, 2)
            for one in sent[:40]:
                await log.append(one)

            async def only_one() -> bool:
                return list(server.file.flags.states[:PARTITIONS]) in ([0, 0, 1, 0], [0, 0, 2, 0])

            await until("the others are back", only_one)
            for one in sent[40:]:
                await log.append(one)
            assert log.waiting == 20
            server.mend()
            await cleared(log)
            return await arrived(log, len(sent))

    assert in_lanes(asyncio.run(run())) == in_lanes(sent)


def test_a_spool_that_is_full_refuses_in_words_and_takes_again_once_it_is_sent_on(
    server: Server,
) -> None:
    async def run() -> None:
        log = server.log(mib=2)
        async with opened(log):
            server.fail(Fault.DOWN)
            large = record(1, bytes(100_000))
            count = 0
            while await taken(log, large):
                count += 1
            assert 15 <= count <= 22
            with pytest.raises(StoreUnavailableError, match="spool is full"):
                await log.append(large)
            assert "spool_mib" in log.health().error
            server.mend()

            async def well() -> bool:
                return not log.health().error

            await until("it says that it is well though nobody appends", well)
            await log.append(numbered(1))
            await arrived(log, count + 1)

    asyncio.run(run())


def test_a_spool_that_cannot_be_written_is_no_error_while_the_broker_is_well(
    server: Server, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"

    async def run() -> None:
        log = server.log(spool=nowhere)
        async with opened(log):
            await log.append(numbered(1))
            health = log.health()
            assert not health.error
            assert "nowhere" in health.degraded
            server.fail(Fault.DOWN)
            with pytest.raises(StoreUnavailableError, match="nowhere"):
                await log.append(numbered(2))
            assert "nowhere" in log.health().error
            server.mend()

            async def well() -> bool:
                return await taken(log, numbered(3))

            await until("the broker gets events again", well)
            nowhere.mkdir()

            async def spools() -> bool:
                return not log.health().degraded

            await until("the spool is there", spools)

    asyncio.run(run())


def test_a_spool_whose_folder_goes_and_comes_keeps_what_was_in_it(server: Server) -> None:
    async def run() -> None:
        spool = server.folder / "spool"
        spool.mkdir()
        log = server.log(spool=spool)
        async with opened(log):
            server.fail(Fault.DOWN)
            await log.append(numbered(1))
            spool.rename(server.folder / "away")

            async def refused() -> bool:
                return not await taken(log, numbered(2))

            await until("an append is refused", refused)
            server.mend()
            (server.folder / "away").rename(spool)
            await cleared(log)
            assert b"1" in {one.body for one in await arrived(log, 1)}

    asyncio.run(run())


def test_health_says_since_when_how_many_and_why_but_not_at_a_usual_start(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "QUIET_S", 0.2)

    async def run() -> None:
        log, other = server.log(), server.log(drains=False)
        async with opened(log, other):
            assert log.health().degraded == ""
            server.fail(Fault.DOWN)
            for n in range(3):
                await log.append(numbered(n))

            async def told() -> str:
                return other.health().degraded if "3 wait" in other.health().degraded else ""

            degraded = await until("another process tells it as well", told)
            assert "UTC" in degraded
            assert "refuses connections" in degraded
            assert log.health().error == ""
            server.mend()
            await cleared(log)
            assert log.health().degraded == other.health().degraded == ""
            assert server.counted.count("spooled") == server.counted.count("drained") == 3

    asyncio.run(run())


def test_lag_counts_what_is_spooled(server: Server) -> None:
    async def run() -> None:
        log = server.log()
        async with opened(log):
            await log.append(numbered(0))
            server.fail(Fault.DOWN)
            for n in range(1, 6):
                await log.append(numbered(n))
            assert await log.lag() == 6
            server.mend()
            await cleared(log)
            assert await log.lag() == 6
            assert log.waiting == 0

    asyncio.run(run())


def test_closing_while_the_broker_is_frozen_leaves_everything_durable(server: Server) -> None:
    async def run() -> None:
        log = server.log()
        await log.open()
        server.fail(Fault.FROZEN)
        waiting = [log.append(numbered(n)) for n in range(30)]
        await log.close()
        await asyncio.gather(*waiting)
        server.mend()
        again = server.log()
        async with opened(again):
            await arrived(again, 30)

    asyncio.run(run())


def test_a_wish_that_was_taken_back_is_not_spooled(server: Server) -> None:
    async def run() -> None:
        log = server.log()
        async with opened(log):
            server.fail(Fault.FROZEN)
            wish = log.append(numbered(1))
            wish.cancel()
            await log.append(numbered(2))
            assert log.waiting == 1

    asyncio.run(run())


def test_who_drains_is_followed_by_another_one(server: Server) -> None:
    async def run() -> None:
        first = server.log()
        await first.open()
        second = server.log()
        async with opened(second):
            server.fail(Fault.DOWN)
            await second.append(numbered(1))
            await first.close()
            server.mend()
            began = time.monotonic()
            await cleared(second)
            assert time.monotonic() - began < 3
            assert len(await arrived(second, 1)) == 1

    asyncio.run(run())


def test_an_event_that_was_on_its_way_into_the_spool_when_its_flag_was_cleared_keeps_its_place(
    server: Server,
) -> None:
    sent = [numbered(n, 1) for n in range(9)]

    async def run() -> list[Record]:
        log = server.log(drains=False)
        async with opened(log):
            server.file.flags.trip(0)
            with gate_of(server.folder / "spool.db").turn():
                late = [log.append(one) for one in sent[:3]]
                server.file.flags.clear(1)
                behind = [log.append(one) for one in sent[3:6]]
            await asyncio.gather(*late, *behind)
            for one in sent[6:]:
                await log.append(one)
            assert log.waiting == 0
            return await arrived(log, len(sent))

    assert [one.body for one in asyncio.run(run())] == [one.body for one in sent]


def test_a_flag_that_gets_lost_while_it_is_set_costs_a_second_try_and_no_order(
    server: Server,
) -> None:
    async def run() -> None:
        log = server.log(drains=False)
        async with opened(log):
            for partition in range(PARTITIONS):
                server.file.flags.clear(partition)
            server.fail(Fault.DOWN)
            with gate_of(server.folder / "spool.db").turn():
                first = log.append(numbered(1))
                assert log.active
                server.file.flags.clear(1)  # whoever drains read the flag just before it was set
            await first
            assert server.file.flags.states[1]
            assert log.waiting == 1

    asyncio.run(run())
