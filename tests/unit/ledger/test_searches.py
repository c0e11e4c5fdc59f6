"""A search through all that is stored holds up nobody but other searches."""

import asyncio
import threading
from pathlib import Path

import apsw
import pytest

from comporta.ledger.port import Bulk, DeliveryFilter, Matches
from comporta.ledger.sqlite import bulk
from comporta.ledger.sqlite.ledger import SqliteLedger

DEADLINE_S = 10.0


def test_a_search_that_takes_long_keeps_neither_the_fleet_nor_a_refill_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, end = threading.Event(), threading.Event()

    def search(_connection: apsw.Connection, _what: Bulk, _which: DeliveryFilter) -> Matches:
        begun.set()
        assert end.wait(2 * DEADLINE_S)
        return Matches(7, 0, 0, 0)

    async def story() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db")
        await ledger.open()
        try:
            searching = asyncio.create_task(ledger.matches(Bulk.REPLAY, DeliveryFilter()))
            assert await asyncio.to_thread(begun.wait, DEADLINE_S)
            async with asyncio.timeout(DEADLINE_S):
                assert await ledger.fleet_version() == 0
                assert await ledger.refill({}, 1) == []
                assert await ledger.admin.api_keys() == []
            assert not searching.done()
            end.set()
            assert (await searching).count == 7
        finally:
            end.set()
            await ledger.close()

    monkeypatch.setattr(bulk, "matches", search)
    asyncio.run(story())
