"""Ledgers on the PostgreSQL server of the tests: each folder has a schema of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path

from comporta.clients.postgresql import Connection
from comporta.ledger.postgres.ledger import PostgresLedger
from comporta.testing.conformance.ledger_stage import WINDOW_S


def schema_of(folder: Path) -> str:
    """The schema that stands for a folder."""
    return f"t{blake2b(str(folder).encode(), digest_size=8).hexdigest()}"


class PostgresStage:
    """For suites: opens ledgers at the URLs of a fixture."""

    url: Callable[[str], str]
    """Schema → URL."""

    @asynccontextmanager
    async def opened(self, folder: Path) -> AsyncIterator[PostgresLedger]:
        """A ledger of the folder's schema."""
        ledger = PostgresLedger(self.url(schema_of(folder)), WINDOW_S)
        await ledger.open()
        try:
            yield ledger
        finally:
            await ledger.close()


async def nothing_to_migrate(_connection: Connection) -> None:
    """For who uses a database without the ledger that has made it."""
