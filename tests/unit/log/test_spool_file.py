import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from comporta.embedded.gate import gate_of
from comporta.errors import StoreUnavailableError
from comporta.log.spool.file import PASSED_BACK, SpoolFile
from comporta.log.spool.flags import CLEAR, SEEN, SET, Flags
from comporta.testing.conformance.records import opened, read_all, record, until

PARTITIONS = 4
NOW_MS = 1_795_500_000_000


@asynccontextmanager
async def spool_in(folder: Path, bytes_max: int = 1 << 30) -> AsyncIterator[SpoolFile]:
    spool = SpoolFile(folder, PARTITIONS, bytes_max=bytes_max)
    async with opened(spool):
        spool.flags.trip(NOW_MS)
        spool.flags.see()
        yield spool


async def end(spool: SpoolFile) -> dict[int, int]:
    return (await spool.read(dict.fromkeys(range(PARTITIONS), 0), 1_000, 1 << 30)).reached


def test_a_record_whose_flag_is_cleared_before_it_is_written_is_passed_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with spool_in(tmp_path) as spool:
            with gate_of(tmp_path / "spool.db").turn():
                mine, other = spool.append(record(1)), spool.append(record(2))
                spool.flags.clear(1)
            assert await mine == PASSED_BACK
            assert await other is None
            assert [entry.record.partition for entry in await read_all(spool)] == [2]
            assert spool.flags.waiting == 1

    asyncio.run(run())


def test_a_flag_is_cleared_only_once_nothing_of_its_partition_is_left(tmp_path: Path) -> None:
    async def run() -> None:
        async with spool_in(tmp_path) as spool:
            await spool.append(record(1))
            before = await end(spool)
            await spool.append(record(2))
            await spool.clear(before)
            assert list(spool.flags.states[:PARTITIONS]) == [CLEAR, CLEAR, SEEN, CLEAR]
            await spool.clear(await end(spool))
            assert not spool.flags.active
            assert spool.flags.waiting == 0

    asyncio.run(run())


def test_what_is_written_while_a_flag_is_to_be_cleared_keeps_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with spool_in(tmp_path) as spool:
            place = await end(spool)
            gate = gate_of(tmp_path / "spool.db")
            with gate.turn():
                late = spool.append(record(1))
                clearing = asyncio.create_task(spool.clear(place))
                await asyncio.sleep(0)
            await asyncio.gather(late, clearing)
            if await late is None:  # it was written first
                assert spool.flags.states[1] == SEEN
            else:
                assert await late == PASSED_BACK
                assert spool.flags.states[1] == CLEAR
            gate.close()

    asyncio.run(run())


def test_a_flag_that_was_set_again_since_it_was_seen_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with spool_in(tmp_path) as spool:
            spool.flags.trip(NOW_MS)
            await spool.clear(await end(spool))
            assert list(spool.flags.states[:PARTITIONS]) == [SET] * PARTITIONS

    asyncio.run(run())


def test_no_more_than_one_group_is_taken_beyond_the_bound(tmp_path: Path) -> None:
    async def run() -> None:
        async with spool_in(tmp_path, bytes_max=1 << 20) as spool:
            large, said = record(0, bytes(50_000)), ""
            while not said:
                try:
                    await spool.append(large)
                except StoreUnavailableError as error:
                    said = str(error)
            assert "spool_mib" in said
            assert spool.full == said
            assert 1 << 20 <= (await spool.room()).used_bytes < (1 << 20) + 100_000
            assert not spool.health().error, "the file itself is well"
            await spool.commit(await end(spool))

            async def roomy() -> bool:
                await spool.look()
                return not spool.full

            await until("there is room again", roomy)

    asyncio.run(run())


def test_what_waits_is_counted_anew_from_the_file(tmp_path: Path) -> None:
    async def run() -> None:
        async with spool_in(tmp_path) as spool:
            await asyncio.gather(*[spool.append(record(n % 4)) for n in range(30)])
        (tmp_path / "spool.flags").unlink()
        async with spool_in(tmp_path) as spool:
            assert spool.flags.waiting == 0
            await spool.recount(await spool.watermark())
            assert spool.flags.waiting == 30
            await spool.append(record(1))
            assert spool.flags.waiting == 31

    asyncio.run(run())


def test_every_process_of_a_server_sees_a_flag_at_once(tmp_path: Path) -> None:
    one, other = (Flags(tmp_path / "spool.flags", PARTITIONS) for _ in range(2))
    one.open()
    other.open()
    assert not one.active
    other.trip(NOW_MS)
    assert one.see() == frozenset(range(PARTITIONS))
    assert one.see() == frozenset()
    assert other.states[PARTITIONS - 1] == SEEN
    assert one.since_ms == NOW_MS
    one.trip(NOW_MS + 1)
    assert other.since_ms == NOW_MS
    one.close()
    other.close()


def test_without_a_file_all_flags_are_clear_and_none_can_be_set(tmp_path: Path) -> None:
    flags = Flags(tmp_path / "nowhere" / "spool.flags", PARTITIONS)
    with pytest.raises(OSError, match="No such file"):
        flags.open()
    assert not flags.active
    with pytest.raises(OSError, match="No such file"):
        flags.trip(NOW_MS)
    assert not flags.active
    assert flags.waiting == 0
