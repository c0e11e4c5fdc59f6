"""Room in memory: who waits for it, for how long, and that all of it comes back."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comporta.ingest import admission as module
from comporta.ingest.admission import Admission

ROOM = 100


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM_POLL_S", 0.0)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("pending", "full"), [(0, False), (ROOM, False), (ROOM + 1, True)])
def test_it_is_full_above_the_mark_and_not_at_it(pending: int, full: bool) -> None:
    assert Admission(ROOM, lambda: pending).full is full


def test_whoever_waits_goes_on_when_there_is_room() -> None:
    pending = [ROOM + 1]

    async def run() -> bool:
        waiting = asyncio.ensure_future(Admission(ROOM, lambda: pending[0]).room())
        await turn()
        assert not waiting.done()
        pending[0] = ROOM
        return await waiting

    assert asyncio.run(run())


def test_whoever_waits_in_vain_gives_up_before_chatwoot_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module.ROOM_WAIT_S < 5
    monkeypatch.setattr(module, "ROOM_WAIT_S", 0.02)
    assert not asyncio.run(Admission(ROOM, lambda: ROOM + 1).room())


def test_a_body_larger_than_all_the_room_gets_it_alone() -> None:
    async def run() -> None:
        admission = Admission(ROOM, lambda: 0)
        async with admission.reserve(10 * ROOM):
            second = asyncio.ensure_future(_hold(admission, 1, asyncio.Event()))
            await turn()
            assert admission._reserved == 10 * ROOM
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
        assert admission._reserved == 0

    asyncio.run(run())


async def _hold(admission: Admission, size: int, until: asyncio.Event) -> None:
    async with admission.reserve(size):
        await until.wait()


@given(st.lists(st.tuples(st.integers(1, ROOM), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_however_many_want_room_no_more_is_given_than_there_is_and_everybody_gets_some(
    wishes: list[tuple[int, bool]],
) -> None:
    async def run() -> None:
        admission = Admission(ROOM, lambda: 0)
        ends = [asyncio.Event() for _ in wishes]
        tasks = [
            asyncio.ensure_future(_hold(admission, size, end))
            for (size, _), end in zip(wishes, ends, strict=True)
        ]
        for task, end, (_, is_patient) in zip(tasks, ends, wishes, strict=True):
            await turn()
            assert 0 < admission._reserved <= ROOM
            if is_patient:
                end.set()
                async with asyncio.timeout(5):
                    await task
            else:  # hung up, wherever it was
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        assert admission._reserved == 0

    asyncio.run(run())


def test_a_failure_while_reading_gives_the_room_back() -> None:
    async def fail(admission: Admission) -> None:
        async with admission.reserve(ROOM):
            raise ZeroDivisionError

    admission = Admission(ROOM, lambda: 0)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail(admission))
    assert admission._reserved == 0


def test_small_bodies_slipped_past_a_large_one_that_waited_before_them() -> None:
    async def run() -> None:
        admission, ends = Admission(ROOM, lambda: 0), [asyncio.Event() for _ in range(3)]
        sizes = (ROOM // 2, ROOM, 1)
        first, large, small = (
            asyncio.ensure_future(_hold(admission, size, end))
            for size, end in zip(sizes, ends, strict=True)
        )
        await turn()
        assert admission._reserved == ROOM // 2, "the small one waits behind the large one"
        ends[0].set()
        await first
        await turn()
        assert admission._reserved == ROOM
        ends[1].set()
        ends[2].set()
        await asyncio.gather(large, small)
        assert admission._reserved == 0

    asyncio.run(run())
