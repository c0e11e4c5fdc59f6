"""What only the PostgreSQL ledger promises: about its server, the parts of a day, and signals."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files

import pytest
from tests.support.servers.postgresql import DATABASE, Postgresql, pgbouncer

from comporta.clients.postgresql import Connection, address_of
from comporta.domain.delivery import AttemptResult, DeliveryState, Outcome, Verdict
from comporta.domain.fleet import Fleet
from comporta.errors import ConfigError, ConflictError, SchemaTooNewError, StoreUnavailableError
from comporta.ledger.port import LaneKey
from comporta.ledger.postgres import signals
from comporta.ledger.postgres.days import DAY_MS, TABLES, day_of, part_of, range_of
from comporta.ledger.postgres.ledger import PostgresLedger
from comporta.ledger.postgres.schema import PACKAGE, PREFIX
from comporta.testing.conformance.ledger_stage import (
    DEAD,
    KEY,
    NOW_MS,
    TOKEN,
    new_event,
    outcome,
)
from comporta.testing.conformance.records import record

TOKENS = {0: TOKEN}
TODAY = NOW_MS // DAY_MS


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    with Postgresql() as server:
        yield server


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(url)
    try:
        await ledger.open()
        yield ledger
    finally:
        await ledger.close()


async def try_open(url: str) -> None:
    async with opened(url) as ledger:
        await ledger.fleet_version()


def parts(server: Postgresql, schema: str) -> set[str]:
    rows = server.run_sql("SELECT schemaname, tablename FROM pg_tables")
    return {str(name) for there, name in rows if there == schema}


# Addresses


def test_options_go_to_the_client_and_the_password_to_nobody_else() -> None:
    address = address_of("postgresql://me:pa%2Fss@a:1,b:2/db?sslmode=require&schema=mine")
    assert address.schema == "mine"
    assert address.where == "a:1,b:2/db"
    assert "sslmode=require" in address.dsn
    assert "target_session_attrs=primary" in address.dsn
    assert "schema" not in address.dsn


@pytest.mark.parametrize(
    "url", ["postgresql://host", "postgresql://host/db?schema=a;b", "postgresql://host/db?schema=É"]
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        PostgresLedger(url)


# The server


def test_a_server_that_is_not_there_or_refuses_is_named_without_the_password(
    server: Postgresql,
) -> None:
    wrong = server.url().replace("s3cret%2Fpassword", "s3cret-wrong")
    nowhere = server.url().replace(str(server.port), "1")
    nothing = server.url().replace(f"/{DATABASE}", "/none")
    for url, hint in ((wrong, "password"), (nowhere, "again"), (nothing, "CREATE DATABASE")):
        with pytest.raises(StoreUnavailableError, match=hint) as refused:
            asyncio.run(try_open(url))
        assert "127.0.0.1" in str(refused.value)
        assert "s3cret" not in str(refused.value)


def test_one_that_is_away_at_the_start_is_used_once_it_is_there() -> None:
    """Its schema is made then, by one of those who ask."""

    async def run(late: Postgresql) -> list[int]:
        late.kill()
        async with opened(late.url("late")) as ledger:
            with pytest.raises(StoreUnavailableError, match="again"):
                await ledger.fleet_version()
            await asyncio.to_thread(late.start)
            asked = [ledger.fleet_version() for _ in range(4)]
            return [*await asyncio.gather(*asked), (await ledger.claim(0, TOKEN)).offset]

    with Postgresql() as late:
        assert asyncio.run(run(late)) == [0, 0, 0, 0, 0]


def test_a_database_that_is_not_in_utf_8_is_refused(server: Postgresql) -> None:
    server.run_sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(ConfigError, match="SQL_ASCII"):
        asyncio.run(try_open(server.url().replace(f"/{DATABASE}", "/ascii")))


def test_fsync_off_is_refused_and_asynchronous_commits_are_not_ours(server: Postgresql) -> None:
    async def run() -> str:
        async with opened(server.url("sync")) as ledger:
            return str(await ledger._database.work.run(_synchronous_commit))

    server.run_sql(f"ALTER DATABASE {DATABASE} SET synchronous_commit = off")
    try:
        assert asyncio.run(run()) == "on"
    finally:
        server.run_sql(f"ALTER DATABASE {DATABASE} RESET synchronous_commit")
    server.run_sql("ALTER SYSTEM SET fsync = off")
    server.run_sql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(ConfigError, match="fsync = on"):
            asyncio.run(_until_refused(server.url()))
    finally:
        server.run_sql("ALTER SYSTEM RESET fsync")
        server.run_sql("SELECT pg_reload_conf()")


async def _synchronous_commit(connection: Connection) -> object:
    return await connection.fetchval("SELECT current_setting('synchronous_commit')")


async def _until_refused(url: str) -> None:
    for _attempt in range(200):  # the server reloads in its own time
        await try_open(url)


def test_a_long_search_holds_up_neither_dispatch_nor_the_fleet(server: Postgresql) -> None:
    async def search(connection: Connection) -> None:
        await connection.execute("SELECT pg_sleep(20)")

    async def run() -> None:
        async with opened(server.url("searches")) as ledger:
            await ledger.claim(0, TOKEN)
            searches = [asyncio.create_task(ledger._database.people.run(search)) for _ in range(4)]
            async with asyncio.timeout(5):
                await ledger.record(TOKENS, [new_event(1)], NOW_MS)
                assert len(await ledger.refill({KEY: 0}, 1)) == 1
                assert await ledger.fleet_version() == 0
            for one in searches:
                one.cancel()
            await asyncio.gather(*searches, return_exceptions=True)

    asyncio.run(run())


# The schema


def test_however_many_open_it_together_one_makes_the_tables(server: Postgresql) -> None:
    async def run() -> None:
        await asyncio.gather(*[try_open(server.url("together")) for _ in range(6)])

    asyncio.run(run())
    newest = sum(file.name.startswith(PREFIX) for file in files(PACKAGE).iterdir())
    assert server.run_sql("SELECT version FROM together.comporta_schema") == [(newest,)]


def test_a_newer_schema_is_refused(server: Postgresql) -> None:
    asyncio.run(try_open(server.url("newer")))
    server.run_sql("UPDATE newer.comporta_schema SET version = 99")
    with pytest.raises(SchemaTooNewError, match="99"):
        asyncio.run(try_open(server.url("newer")))


# The parts of a day


def test_the_parts_of_today_and_tomorrow_are_made_with_the_first_batch_and_at_midnight(
    server: Postgresql,
) -> None:
    midnight_ms = (TODAY + 1) * DAY_MS

    async def run() -> None:
        async with opened(server.url("days")) as ledger:
            await ledger.claim(0, TOKEN)
            await ledger.record(TOKENS, [new_event(1)], NOW_MS)
            there = await asyncio.to_thread(parts, server, "days")
            assert {part_of(table, TODAY + 1) for table in TABLES} <= there
            assert part_of("events", TODAY + 2) not in there
            late = await ledger.record(TOKENS, [new_event(2)], midnight_ms - 1)
            early = await ledger.record(TOKENS, [new_event(3)], midnight_ms)
            assert day_of(late.deliveries[0].id) == TODAY
            assert day_of(early.deliveries[0].id) == TODAY + 1
            assert part_of("events", TODAY + 2) in await asyncio.to_thread(parts, server, "days")
            # A clock that was set back makes ids of the day that it had reached.
            back = await ledger.record(TOKENS, [new_event(4)], NOW_MS - 3 * DAY_MS)
            assert day_of(back.deliveries[0].id) == TODAY + 1
            made = [*late.deliveries, *early.deliveries, *back.deliveries]
            assert (await ledger.refill({KEY: 0}, 10))[1:] == made

    asyncio.run(run())


def test_a_part_that_retention_has_dropped_is_made_again_for_what_still_comes(
    server: Postgresql,
) -> None:
    async def run() -> None:
        async with opened(server.url("dropped")) as ledger:
            await ledger.claim(0, TOKEN)
            (one,) = (await ledger.record(TOKENS, [new_event(1)], NOW_MS)).deliveries
            drop = f"DROP TABLE dropped.{part_of('attempts', TODAY)}"
            await asyncio.to_thread(server.run_sql, drop)
            await ledger.settle(TOKENS, [outcome(one, DEAD, 500)], NOW_MS)

    asyncio.run(run())
    rows = server.run_sql("SELECT number FROM dropped.attempts")
    assert rows == [(1,)]


def test_a_days_range_holds_its_ids_and_no_others() -> None:
    low, high = range_of(TODAY)
    assert (day_of(low), day_of(high - 1), day_of(high)) == (TODAY, TODAY, TODAY + 1)
    assert range_of(TODAY + 1)[0] == high


# Texts


def test_a_text_that_postgresql_cannot_store_does_not_hold_up_its_batch(
    server: Postgresql,
) -> None:
    async def run() -> None:
        async with opened(server.url("texts")) as ledger:
            await ledger.claim(0, TOKEN)
            odd = record(event_type="a\0bé", body=b"\0")
            (made,) = (await ledger.record(TOKENS, [new_event(1, odd)], NOW_MS)).deliveries
            (refilled,) = await ledger.refill({KEY: 0}, 10)
            assert (refilled.event_type, refilled.body) == ("a\ufffdbé", b"\0")
            failed = AttemptResult(NOW_MS, 1.0, error="\ud800 é \0")
            verdict = Verdict(DeliveryState.DEAD, reason="\0")
            await ledger.settle(TOKENS, [Outcome(made, failed, verdict)], NOW_MS)
            (attempt,) = await ledger.attempts(made.id)
            assert attempt.error == "? é \ufffd"

    asyncio.run(run())


# Signals


def test_whoever_waits_for_the_fleet_hears_of_a_change_at_once(server: Postgresql) -> None:
    async def run() -> None:
        async with opened(server.url("bell")) as mine, opened(server.url("bell")) as other:
            await mine.fleet_changed(0.01)  # connects
            waiting = asyncio.create_task(mine.fleet_changed(60))
            await asyncio.sleep(0)
            await other.replace_fleet(Fleet(version=1), "me", "")
            await asyncio.wait_for(waiting, 5)
            with pytest.raises(ConflictError):
                await other.replace_fleet(Fleet(version=1), "me", "")
            assert (await mine.fleet()).version == 1

    asyncio.run(run())


def test_behind_pgbouncer_whoever_waits_for_the_fleet_looks_after_a_while(
    server: Postgresql,
) -> None:
    async def run(url: str) -> None:
        async with opened(url) as mine, opened(url) as other:
            for version in (1, 2):
                await other.replace_fleet(Fleet(version=version), "me", "")
                async with asyncio.timeout(5):
                    await mine.fleet_changed(0.2)
                assert await mine.fleet_version() == version

    with pgbouncer(server) as url:
        asyncio.run(run(url("bounced")))


def test_nudges_become_visible_in_the_order_of_their_numbers(server: Postgresql) -> None:
    """Otherwise whoever reads on from the last number would miss one that was committed later."""
    first, second = LaneKey(0, "dst_1", 1), LaneKey(0, "dst_2", 2)

    async def run() -> None:
        async with opened(server.url("nudges")) as ledger:
            nudged, go_on = asyncio.Event(), asyncio.Event()

            async def slow(connection: Connection) -> None:
                await signals.nudge(connection, [first], NOW_MS)
                nudged.set()
                await go_on.wait()

            run = ledger._database.work.run
            after, lanes = await ledger.nudges(-1)
            assert lanes == []
            one = asyncio.create_task(run(slow))
            await nudged.wait()
            other = asyncio.create_task(run(signals.nudge, [second], NOW_MS))
            _done, waiting = await asyncio.wait([other], timeout=0.3)
            assert waiting == {other}
            go_on.set()
            await asyncio.gather(one, other)
            assert (await ledger.nudges(after))[1] == [first, second]

    asyncio.run(run())
