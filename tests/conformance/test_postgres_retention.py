"""What PostgreSQL forgets a day at a time: nothing that is needed, and nobody waits for it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from msgspec import structs
from tests.support.postgres_ledgers import PostgresStage, nothing_to_migrate, schema_of
from tests.support.postgres_seed import seed
from tests.support.servers.postgresql import Postgresql

from comporta.clients.postgresql_database import Database
from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import first_at
from comporta.domain.partitioning import bulk_lane
from comporta.ledger.keeping import Kept
from comporta.ledger.port import DeliveryFilter, EventFilter, Ledger
from comporta.ledger.postgres import thinning
from comporta.ledger.postgres.days import DAY_MS, TABLES
from comporta.ledger.retention import Limit, Limits, Retention
from comporta.testing.conformance.ledger_stage import (
    DEAD,
    DELIVERED,
    KEY,
    LANE,
    NOW_MS,
    TOKEN,
    LedgerStage,
    new_event,
    outcome,
)
from comporta.testing.conformance.records import record

TODAY_MS = NOW_MS + 40 * DAY_MS
TODAY_ID = first_at(TODAY_MS)
DAY = NOW_MS // DAY_MS
LIMITS = Limits(Limit(1), Limit(1), Limit(1), Limit(3650))
HELD_UP_S_MAX = 1.5
"""Waiting for the locks and for the exchange, on a machine that has other work, too."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestPostgresRetention(PostgresStage, LedgerStage):
    """Days that are exchanged for what is needed of them."""

    @pytest.fixture(autouse=True)
    def on(self, postgresql: Postgresql) -> None:
        self.url, self.server = postgresql.url, postgresql

    @asynccontextmanager
    async def database(self, folder: Path) -> AsyncIterator[Database]:
        database = Database(self.url(schema_of(folder)), nothing_to_migrate)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    def fill(self, folder: Path, count: int, *, dead_every: int = 0, open_every: int = 0) -> None:
        """A ledger with one old day full of events."""

        async def story(ledger: Ledger) -> None:
            await self.put(ledger, new_event(1, targets=()))
            schema = schema_of(folder)
            every = {"dead_every": dead_every, "open_every": open_every}
            await seed(self.url(schema), schema, DAY, count, **every)

        self.play(folder, story)

    def tables(self, folder: Path) -> set[str]:
        """The parts of days that there are, and what may be left of copies."""
        found = self.server.run_sql("SELECT schemaname, tablename FROM pg_tables")
        mine = [str(table) for schema, table in found if schema == schema_of(folder)]
        return {table for table in mine if re.search(r"_\d", table)}

    async def forget(self, ledger: Ledger, at_ms: int = TODAY_MS) -> None:
        await Retention(ledger, ledger.keeping, LIMITS, lambda: at_ms).round()

    def test_a_day_goes_under_load_and_no_batch_waits_long_for_it(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.fill(folder, 50_000, dead_every=250, open_every=777)  # 200 and 64 of them

        async def load(ledger: Ledger, until: asyncio.Event) -> list[float]:
            await ledger.claim(0, TOKEN)
            took_s, offset = [], 10
            while not until.is_set():
                batch = [new_event(offset + n) for n in range(8)]
                began_s = time.perf_counter()
                made = await self.put(ledger, *batch, now_ms=TODAY_MS)
                await self.settle(ledger, *[outcome(one, DELIVERED) for one in made.deliveries])
                took_s.append(time.perf_counter() - began_s)
                offset += 8
            return took_s

        async def story() -> list[float]:
            async with self.opened(folder) as one, self.opened(folder) as other:
                done = asyncio.Event()
                loading = asyncio.create_task(load(one, done))
                try:
                    await self.forget(other)
                finally:
                    done.set()
                took_s = await loading
                assert await other.count(DeliveryFilter(state=DeliveryState.DEAD)) == 200
                assert await other.count(DeliveryFilter(state=DeliveryState.SCHEDULED)) == 64
                assert await other.count(DeliveryFilter(until_ms=NOW_MS + DAY_MS)) == 264
                assert await other.count(DeliveryFilter()) == 264 + 8 * len(took_s)
                return took_s

        took_s = asyncio.run(story())
        with capsys.disabled():
            print(f"\nlongest of {len(took_s)} batches: {max(took_s):.3f} s")  # noqa: T201
        assert len(took_s) > 3, "or there was no load"
        assert max(took_s) < HELD_UP_S_MAX
        assert {f"{table}_{DAY}" for table in TABLES} < self.tables(folder)
        assert not any(table.endswith("kept") for table in self.tables(folder))

    def test_of_a_day_of_which_nothing_is_needed_nothing_is_left(self, folder: Path) -> None:
        self.fill(folder, 1_000)
        asyncio.run(self.once(folder))
        assert not [table for table in self.tables(folder) if table.endswith(f"_{DAY}")]

    async def once(self, folder: Path) -> None:
        async with self.opened(folder) as ledger:
            await self.forget(ledger)

    def test_a_dead_letter_outlives_its_day_whole_and_can_be_redriven(self, folder: Path) -> None:
        body = bytes(range(256)) * 100

        async def story(ledger: Ledger) -> None:
            events = [new_event(n, record(body=body + b"%d" % n)) for n in range(1, 6)]
            made = (await self.put(ledger, *events)).deliveries
            dead = made[2]
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made if one != dead])
            await self.settle(ledger, outcome(dead, DEAD, 500))
            before = await ledger.event(dead.event_id), await ledger.attempts(dead.id)
            await self.forget(ledger)
            assert (await ledger.event(dead.event_id), await ledger.attempts(dead.id)) == before
            assert [row.id for row in await ledger.events(EventFilter())] == [dead.event_id]
            await ledger.redrive(DeliveryFilter(), TODAY_MS)
            (again,) = await ledger.refill({structs.replace(KEY, lane=bulk_lane(LANE)): 0}, 9)
            assert again.body == body + b"3"
            await self.settle(ledger, outcome(again, DELIVERED))
            assert [one.number for one in await ledger.attempts(dead.id)] == [1, 2]
            await self.forget(ledger)
            assert await ledger.events(EventFilter()) == []

        self.play(folder, story)
        assert not [table for table in self.tables(folder) if table.endswith(f"_{DAY}")]

    def test_two_servers_that_forget_at_once_lose_nothing(self, folder: Path) -> None:
        self.fill(folder, 3_000, dead_every=100)

        async def story() -> None:
            async with self.opened(folder) as one, self.opened(folder) as other:
                await asyncio.gather(*(self.forget(ledger) for ledger in (one, other) * 2))
                await self.forget(one)  # whoever came second left it to the first
                assert await one.count(DeliveryFilter()) == 30
                rows = await one.deliveries(DeliveryFilter(limit=100))
                events = [await one.event(row.event_id) for row in rows]
                assert all(event is not None and event.body for event in events)

        asyncio.run(story())

    def test_what_begins_to_be_needed_between_copy_and_exchange_stays(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, *[new_event(n) for n in range(1, 7)])).deliveries
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made[:3]])
            await self.settle(ledger, *[outcome(one, DEAD, 500) for one in made[3:]])
            async with self.database(folder) as database:
                for kind in (Kept.BODIES, Kept.ATTEMPTS, Kept.EVENTS):
                    await database.upkeep.run(thinning.copy, kind, DAY)
                    if kind is Kept.BODIES:
                        replayed = DeliveryFilter(delivery_ids=(made[0].id,))
                        assert (await ledger.replay(replayed, TODAY_MS)).done == 1
                    if kind is Kept.ATTEMPTS:
                        redriven = DeliveryFilter(delivery_ids=(made[3].id,))
                        assert (await ledger.redrive(redriven, TODAY_MS)).done == 1
                    if kind is Kept.EVENTS:
                        late = (await self.put(ledger, new_event(7))).deliveries
                        given_up = DeliveryFilter(delivery_ids=(made[4].id,))
                        await ledger.discard(given_up, TODAY_MS, "no")
                    await database.upkeep.run(thinning.exchange, kind, DAY)
            kept = [made[0], made[3], made[5], *late]
            states = {
                row.event_id: row.state
                for row in await ledger.deliveries(DeliveryFilter())
                if row.event_id != made[4].event_id
            }
            assert set(states) == {one.event_id for one in kept}
            assert states[made[3].event_id] is DeliveryState.PENDING, "not as it was when copied"
            for one in kept:
                event = await ledger.event(one.event_id)
                assert event is not None
                assert event.body == one.body
            tries = [len(await ledger.attempts(one.id)) for one in kept[:3]]
            assert tries == [0, 1, 1], "that of what was delivered was not needed"

        self.play(folder, story)

    def test_a_reader_of_old_days_holds_up_retention_and_retention_nobody(
        self, folder: Path
    ) -> None:
        self.fill(folder, 500)

        async def story(ledger: Ledger) -> None:
            reader = await asyncpg.connect(self.url("x").partition("?")[0])
            try:
                async with reader.transaction():
                    await reader.fetch(f"TABLE {schema_of(folder)}.events")
                    forgetting = asyncio.create_task(self.forget(ledger))
                    number = 2
                    while not forgetting.done():
                        began_s = time.perf_counter()
                        await self.put(ledger, new_event(number), now_ms=TODAY_MS)
                        assert time.perf_counter() - began_s < HELD_UP_S_MAX
                        number += 1
                    await forgetting
                    old = await ledger.events(EventFilter(limit=1_000, before_id=TODAY_ID))
                    assert len(old) == 501
            finally:
                await reader.close()
            await self.forget(ledger)
            assert await ledger.events(EventFilter(before_id=TODAY_ID)) == []

        self.play(folder, story)

    def test_a_day_of_which_too_much_is_needed_is_forgotten_row_by_row(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(thinning, "NEEDED_MAX", 9)
        self.fill(folder, 1_000, dead_every=100)

        async def story(ledger: Ledger) -> None:
            await self.forget(ledger)
            assert len(await ledger.events(EventFilter(limit=1_000))) == 10
            some = DeliveryFilter(state=DeliveryState.DEAD, limit=1)
            await ledger.discard(some, TODAY_MS, "no")
            await self.forget(ledger)
            assert len(await ledger.events(EventFilter())) == 9

        self.play(folder, story)
        assert f"events_{DAY}" in self.tables(folder)

    @pytest.mark.parametrize("needed_max", [0, 1_000], ids=["row by row", "exchanged"])
    def test_a_replay_beside_retention_loses_no_body(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, needed_max: int
    ) -> None:
        monkeypatch.setattr(thinning, "NEEDED_MAX", needed_max)

        async def replay(ledger: Ledger) -> int:
            done, after_id = 0, 0
            while True:
                which = DeliveryFilter(limit=10, after_id=after_id, until_ms=NOW_MS + DAY_MS)
                step = await ledger.replay(which, TODAY_MS)
                done, after_id = done + step.done, step.last_id
                if not after_id:
                    return done

        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, *[new_event(n) for n in range(1, 402)])).deliveries
            await self.settle(ledger, outcome(made[0], DEAD, 500))
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made[1:]])
            async with self.opened(folder) as other:
                done, _none = await asyncio.gather(replay(ledger), self.forget(other))
            rows = await ledger.deliveries(DeliveryFilter(state=DeliveryState.PENDING, limit=1_000))
            assert len(rows) == done, "each has its event"
            lane = structs.replace(KEY, lane=bulk_lane(LANE))
            assert len(await ledger.refill({lane: 0}, 1_000)) == done, "and its body"

        self.play(folder, story)

    def test_an_exchange_that_was_broken_off_is_taken_up_again(self, folder: Path) -> None:
        self.fill(folder, 1_000, dead_every=100)

        async def story() -> None:
            async with self.database(folder) as database:
                await database.upkeep.run(thinning.copy, Kept.EVENTS, DAY)
            async with self.opened(folder) as ledger:
                await ledger.discard(DeliveryFilter(limit=3), TODAY_MS, "no")
                await self.forget(ledger)
                assert len(await ledger.events(EventFilter())) == 10, "as many as were copied"
                await self.forget(ledger)
                assert len(await ledger.events(EventFilter())) == 7

        asyncio.run(story())
        assert not any(table.endswith("kept") for table in self.tables(folder))
