"""The PostgreSQL ledger keeps the promises of every ledger, behind PgBouncer, too."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path

import pytest
from tests.support.servers.postgresql import Postgresql, pgbouncer

from comporta.ledger.port import Ledger
from comporta.ledger.postgres import PostgresLedger
from comporta.testing.conformance.ledger import LedgerSuite
from comporta.testing.conformance.ledger_classes import LedgerClassesSuite
from comporta.testing.conformance.ledger_stage import WINDOW_S


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    with Postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def bouncer(server: Postgresql) -> Iterator[Callable[[str], str]]:
    with pgbouncer(server) as url:
        yield url


def schema_of(folder: Path) -> str:
    """A ledger of its own for each folder: a schema of the one database."""
    return f"t{blake2b(str(folder).encode(), digest_size=8).hexdigest()}"


class PostgresStage:
    """Opens ledgers at the URL of a fixture."""

    url: Callable[[str], str]

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[Ledger]:
        ledger = PostgresLedger(self.url(schema_of(folder)), WINDOW_S)
        await ledger.open()
        try:
            yield ledger
        finally:
            await ledger.close()


class TestPostgresLedger(PostgresStage, LedgerSuite, LedgerClassesSuite):
    """The suites, on a server."""

    @pytest.fixture(autouse=True)
    def on(self, server: Postgresql) -> None:
        self.url = server.url


class TestPostgresLedgerBehindPgbouncer(PostgresStage, LedgerSuite, LedgerClassesSuite):
    """The suites, on a server that is reached through a PgBouncer in transaction mode."""

    @pytest.fixture(autouse=True)
    def on(self, bouncer: Callable[[str], str]) -> None:
        self.url = bouncer
