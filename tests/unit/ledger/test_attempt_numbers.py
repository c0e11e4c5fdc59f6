"""Numbers of attempts, where some of them are kept no longer."""

import asyncio
from pathlib import Path

import apsw

from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.testing.conformance.ledger_stage import NOW_MS, TOKEN, later, new_event


def test_an_outcome_is_stored_although_older_attempts_of_its_delivery_were_forgotten(
    tmp_path: Path,
) -> None:
    """A number that is taken would fail the whole batch of outcomes, each time it is tried."""

    def forget(connection: apsw.Connection) -> None:
        connection.execute("DELETE FROM attempts WHERE number < 3")

    async def run() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db")
        await ledger.open()
        try:
            await ledger.claim(0, TOKEN)
            (one,) = (await ledger.record({0: TOKEN}, [new_event(1)], NOW_MS)).deliveries
            for _attempt in range(4):
                await ledger.settle({0: TOKEN}, [later(one, NOW_MS + 9)], NOW_MS)
            await ledger._write(forget)
            await ledger.settle({0: TOKEN}, [later(one, NOW_MS + 9)], NOW_MS)
            assert [row.number for row in await ledger.attempts(one.id)] == [3, 4, 5]
        finally:
            await ledger.close()

    asyncio.run(run())
