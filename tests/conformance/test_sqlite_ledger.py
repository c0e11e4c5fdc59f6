"""The embedded ledger keeps the promises of every ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.conformance.admin_suite import AdminSuite
from tests.conformance.ledger_classes_suite import LedgerClassesSuite
from tests.conformance.ledger_keeping_suite import LedgerKeepingSuite
from tests.conformance.ledger_people_suite import LedgerPeopleSuite
from tests.conformance.ledger_stage import WINDOW_S
from tests.conformance.ledger_suite import LedgerSuite

from comporta.ledger.admin import AdminLedger
from comporta.ledger.port import Ledger
from comporta.ledger.sqlite import SqliteLedger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestSqliteLedger(LedgerSuite, LedgerClassesSuite, LedgerPeopleSuite, LedgerKeepingSuite):
    """The suites, on a file."""

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[Ledger]:
        ledger = SqliteLedger(folder / "ledger.db", WINDOW_S)
        await ledger.open()
        try:
            yield ledger
        finally:
            await ledger.close()


class TestSqliteAdmin(AdminSuite):
    """The admin API's part, on a file."""

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[AdminLedger]:
        ledger = SqliteLedger(folder / "ledger.db", WINDOW_S)
        await ledger.open()
        try:
            yield ledger.admin
        finally:
            await ledger.close()
