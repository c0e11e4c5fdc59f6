"""The embedded ledger keeps the promises of every ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from comporta.ledger.admin import AdminLedger
from comporta.ledger.port import Ledger
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.ledger.watching import Watching
from comporta.testing.conformance.admin import AdminSuite
from comporta.testing.conformance.ledger import LedgerSuite
from comporta.testing.conformance.ledger_classes import LedgerClassesSuite
from comporta.testing.conformance.ledger_keeping import LedgerKeepingSuite
from comporta.testing.conformance.ledger_people import LedgerPeopleSuite
from comporta.testing.conformance.ledger_stage import WINDOW_S
from comporta.testing.conformance.watching import WatchingSuite


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


class TestSqliteWatching(WatchingSuite):
    """What watching keeps, in a file."""

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[Watching]:
        ledger = SqliteLedger(folder / "ledger.db", WINDOW_S)
        await ledger.open()
        try:
            yield ledger.watching
        finally:
            await ledger.close()
