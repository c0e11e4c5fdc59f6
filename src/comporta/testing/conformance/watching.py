"""What every ledger must do for who watches over the gateway: sums that add up, and documents."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from comporta.ledger.watching import Counted, Document, Slot, Watching

HOUR_MS = 3_600_000
NOW_MS = 1_795_500_000_000 // HOUR_MS * HOUR_MS


def slot(
    count: int = 1, name: str = "ins_a", start_ms: int = NOW_MS, last: int = 0, minutes: int = 1
) -> Slot:
    return Slot(Counted.EVENTS, name, start_ms, count, 1, 5, last, minutes)


class WatchingSuite:
    """Subclass it, and say how the ledger is opened."""

    def opened(self, folder: Path) -> AbstractAsyncContextManager[Watching]:
        raise NotImplementedError

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def watching(self, tmp_path: Path) -> AsyncIterator[Watching]:
        async with self.opened(tmp_path) as watching:
            yield watching

    @pytest.mark.anyio
    async def test_what_is_added_by_many_at_once_adds_up(self, watching: Watching) -> None:
        both = [slot(name="ins_b"), slot(last=9)]
        await asyncio.gather(
            *(watching.add_slots(both if n % 2 else both[::-1]) for n in range(20))
        )
        await watching.add_slots([slot(100, last=7, minutes=1 << 59)])
        found = {one.name: one for one in await watching.slots(Counted.EVENTS, 0)}
        assert found["ins_a"] == Slot(Counted.EVENTS, "ins_a", NOW_MS, 120, 21, 105, 9, 1 << 59 | 1)
        assert found["ins_b"].count == 20

    @pytest.mark.anyio
    async def test_slots_come_oldest_first_from_a_moment_on_and_of_one_kind(
        self, watching: Watching
    ) -> None:
        hours = [NOW_MS + n * HOUR_MS for n in (2, 0, 1)]
        await watching.add_slots([slot(start_ms=at) for at in hours])
        await watching.add_slots([Slot(Counted.ATTEMPTS, "dst_a", NOW_MS + HOUR_MS, 1)])
        await watching.add_slots([])
        found = await watching.slots(Counted.EVENTS, NOW_MS + HOUR_MS)
        assert [one.start_ms for one in found] == [NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS]

    @pytest.mark.anyio
    async def test_old_slots_of_a_kind_are_forgotten_up_to_a_moment(
        self, watching: Watching
    ) -> None:
        await watching.add_slots([slot(), slot(start_ms=NOW_MS + HOUR_MS)])
        await watching.add_slots([Slot(Counted.ATTEMPTS, "dst_a", NOW_MS, 1)])
        await watching.forget_slots(Counted.EVENTS, NOW_MS + HOUR_MS)
        assert [s.start_ms for s in await watching.slots(Counted.EVENTS, 0)] == [NOW_MS + HOUR_MS]
        assert len(await watching.slots(Counted.ATTEMPTS, 0)) == 1

    @pytest.mark.anyio
    async def test_a_document_is_replaced_by_who_has_read_the_last_one(
        self, watching: Watching
    ) -> None:
        assert await watching.document("alerts") == Document()
        assert await watching.keep_document("alerts", "um", 0)
        assert not await watching.keep_document("alerts", "dois", 0)
        assert await watching.document("alerts") == Document("um", 1)
        assert await watching.keep_document("alerts", "três", 1)
        assert not await watching.keep_document("alerts", "quatro", 1)
        assert await watching.document("alerts") == Document("três", 2)
        assert await watching.document("others") == Document()

    @pytest.mark.anyio
    async def test_of_many_who_replace_a_document_at_once_one_succeeds(
        self, watching: Watching
    ) -> None:
        for version in range(3):
            kept = await asyncio.gather(
                *(watching.keep_document("alerts", str(n), version) for n in range(8))
            )
            assert sum(kept) == 1

    @pytest.mark.anyio
    async def test_it_is_there_after_a_restart(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as one:
            await one.add_slots([slot()])
            await one.keep_document("alerts", "um", 0)
        async with self.opened(tmp_path) as other:
            assert await other.slots(Counted.EVENTS, 0) == [slot()]
            assert await other.document("alerts") == Document("um", 1)
