"""What a sample of the growth says of real stores: what is stored, not how files happen to be."""

import asyncio
import os
from pathlib import Path

from comporta.domain.growth import growth_of
from comporta.ledger.keeping import Kept
from comporta.settings import Settings
from comporta.stores import open_stores, sample_of
from comporta.testing.conformance.ledger_stage import NOW_MS, TOKEN, new_event
from comporta.testing.conformance.records import record

EVENTS, BODY_BYTES = 600, 1_500
HOUR_MS = 3_600_000


def test_a_calm_hour_is_told_as_what_came_in_and_not_as_what_the_wal_grew(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)

    async def story() -> None:
        async with open_stores(settings) as stores:
            await stores.ledger.claim(0, TOKEN)
            first = await sample_of(settings, stores, NOW_MS)
            for n in range(1, EVENTS + 1):
                event = new_event(n, record(body=os.urandom(BODY_BYTES)))
                await stores.ledger.record({0: TOKEN}, [event], NOW_MS + n)
            last = await sample_of(settings, stores, NOW_MS + HOUR_MS)
            wal_bytes = (tmp_path / "ledger.db-wal").stat().st_size
            came_in = EVENTS * BODY_BYTES
            grown = last.stored_bytes - first.stored_bytes
            assert came_in < grown < 3 * came_in < wal_bytes
            known = growth_of([first, last])
            assert known is not None
            assert known.bytes_a_day == 24 * grown

    asyncio.run(story())


def test_room_inside_the_files_counts_as_room(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)

    async def story() -> None:
        async with open_stores(settings) as stores:
            await stores.ledger.claim(0, TOKEN)
            event = new_event(1, record(body=bytes(1 << 20)), targets=())
            await stores.ledger.record({0: TOKEN}, [event], NOW_MS)
            full = await stores.ledger.keeping.room()
            await stores.ledger.keeping.prune(Kept.BODIES, 0, NOW_MS + 1, 10)
            freed = await stores.ledger.keeping.room()
            assert freed.used_bytes <= full.used_bytes - (1 << 20)
            assert freed.spare_bytes >= full.spare_bytes + (1 << 20)
            assert sum((freed.used_bytes, freed.spare_bytes)) >= full.used_bytes

    asyncio.run(story())
