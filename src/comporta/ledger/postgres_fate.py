"""Transactions whose commit broke off: the server is asked what became of them.

Nothing is recorded twice, and nothing that was recorded is forgotten, when a connection breaks in
the very moment of a commit.
"""

from comporta.clients.postgresql import Connection, Pool
from comporta.errors import StoreUnavailableError
from comporta.i18n import _
from comporta.ledger.sql import blocks

SQL = blocks("postgres")


async def was_committed(pool: Pool, number: str) -> bool:
    """Whether a transaction that nobody works at any more is stored.

    Args:
        pool: of its database.
        number: its own, as PostgreSQL counts (`Places.number`).

    Raises:
        StoreUnavailableError: nobody knows yet.
    """
    status = await pool.run(_status, number)
    if status == "in progress":
        raise StoreUnavailableError(
            _("PostgreSQL is not yet done with what was written before. It is asked again.")
        )
    return status == "committed"


async def _status(connection: Connection, number: str) -> str | None:
    # None: so long ago that the server has forgotten; no connection lasts so long.
    status: str | None = await connection.fetchval(SQL["fate"], number)
    return status
