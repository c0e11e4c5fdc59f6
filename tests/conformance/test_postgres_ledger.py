"""The PostgreSQL ledger keeps the promises of every ledger, behind a PgBouncer or not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.postgres_ledgers import PostgresStage
from tests.support.servers.postgresql import Postgresql

from comporta.testing.conformance.ledger import LedgerSuite
from comporta.testing.conformance.ledger_classes import LedgerClassesSuite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestPostgresLedger(PostgresStage, LedgerSuite, LedgerClassesSuite):
    """The suites, on a server."""

    @pytest.fixture(autouse=True)
    def on(self, postgresql: Postgresql) -> None:
        self.url = postgresql.url


class TestPostgresLedgerBehindPgbouncer(PostgresStage, LedgerSuite, LedgerClassesSuite):
    """The suites, on a server that is reached through a PgBouncer in transaction mode."""

    @pytest.fixture(autouse=True)
    def on(self, bouncer: Callable[[str], str]) -> None:
        self.url = bouncer
