"""The PostgreSQL ledger keeps its promises to people, to retention and to the admin API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.postgres_ledgers import PostgresStage
from tests.support.servers.postgresql import Postgresql

from comporta.errors import LimitError
from comporta.ledger.admin import AdminLedger
from comporta.ledger.postgres.days import DAY_MS
from comporta.ledger.watching import Watching
from comporta.testing.conformance.admin import NOW_MS, AdminSuite, key
from comporta.testing.conformance.ledger_keeping import LedgerKeepingSuite
from comporta.testing.conformance.ledger_people import LedgerPeopleSuite
from comporta.testing.conformance.watching import WatchingSuite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestPostgresPeople(PostgresStage, LedgerPeopleSuite, LedgerKeepingSuite):
    """The suites, on a server."""

    granularity_ms = DAY_MS

    @pytest.fixture(autouse=True)
    def on(self, postgresql: Postgresql) -> None:
        self.url = postgresql.url


class TestPostgresPeopleBehindPgbouncer(PostgresStage, LedgerPeopleSuite, LedgerKeepingSuite):
    """The suites, on a server that is reached through a PgBouncer in transaction mode."""

    # Ten thousand transactions: once is enough.
    test_the_record_of_operations_is_long_and_not_endless = None  # type: ignore[assignment]
    granularity_ms = DAY_MS

    @pytest.fixture(autouse=True)
    def on(self, bouncer: Callable[[str], str]) -> None:
        self.url = bouncer


class AdminStage(AdminSuite):
    """The suite, on ledgers of a server."""

    url: Callable[[str], str]

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[AdminLedger]:
        stage = PostgresStage()
        stage.url = self.url
        async with stage.opened(folder) as ledger:
            yield ledger.admin


class TestPostgresAdmin(AdminStage):
    """On a server."""

    @pytest.fixture(autouse=True)
    def on(self, postgresql: Postgresql) -> None:
        self.url = postgresql.url

    @pytest.mark.anyio
    async def test_a_request_that_is_begun_on_two_servers_at_once_is_begun_on_one(
        self, tmp_path: Path
    ) -> None:
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as other:
            for number in range(30):
                name, now_ms = str(number % 3), NOW_MS + number * 200_000  # and begun anew
                begun = await asyncio.gather(
                    *(admin.begin("c", name, "d", now_ms) for admin in (one, other) * 4)
                )
                assert sum(first.fresh for first in begun) == 1

    @pytest.mark.anyio
    async def test_two_servers_make_no_more_keys_than_there_may_be(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as other:
            made = await asyncio.gather(
                *((one, other)[n % 2].add_api_key(key(n), 3, 10) for n in range(8)),
                return_exceptions=True,
            )
            assert made.count(None) == 3
            assert sum(isinstance(refused, LimitError) for refused in made) == 5
            assert len(await one.api_keys()) == 3


class TestPostgresAdminBehindPgbouncer(AdminStage):
    """Through a PgBouncer in transaction mode."""

    # Ten thousand transactions: once is enough.
    test_no_more_answers_are_kept_than_the_bound = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True)
    def on(self, bouncer: Callable[[str], str]) -> None:
        self.url = bouncer


class WatchingStage(WatchingSuite):
    """The suite, on ledgers of a server."""

    url: Callable[[str], str]

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[Watching]:
        stage = PostgresStage()
        stage.url = self.url
        async with stage.opened(folder) as ledger:
            yield ledger.watching


class TestPostgresWatching(WatchingStage):
    """On a server."""

    @pytest.fixture(autouse=True)
    def on(self, postgresql: Postgresql) -> None:
        self.url = postgresql.url


class TestPostgresWatchingBehindPgbouncer(WatchingStage):
    """Through a PgBouncer in transaction mode."""

    @pytest.fixture(autouse=True)
    def on(self, bouncer: Callable[[str], str]) -> None:
        self.url = bouncer
