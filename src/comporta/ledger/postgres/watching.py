"""What watching keeps in the ledger in PostgreSQL, for servers that add to the same rows."""

from collections.abc import Sequence
from typing import Any

from comporta.clients.postgresql import Connection, Pool
from comporta.ledger.sql import blocks
from comporta.ledger.watching import SLOTS_READ_MAX, Counted, Document, Slot, row_of

SQL = blocks("postgres_watching")


class PostgresWatching:
    """The `Watching` port.

    Args:
        pool: for short questions.
        people: for what may take a moment.
    """

    def __init__(self, pool: Pool, people: Pool) -> None:
        self._pool, self._people = pool, people

    async def add_slots(self, slots: Sequence[Slot]) -> None:
        """See the port."""
        if not slots:
            return
        columns = [list(column) for column in zip(*map(row_of, slots), strict=True)]
        await self._pool.run(_fetch, "add_slots", *columns)

    async def slots(self, kind: Counted, since_ms: int) -> list[Slot]:
        """See the port."""
        rows = await self._people.run(_fetch, "slots", kind.value, since_ms, SLOTS_READ_MAX)
        return [Slot(kind, name, start, *rest) for _, start, name, *rest in reversed(rows)]

    async def forget_slots(self, kind: Counted, before_ms: int) -> None:
        """See the port."""
        await self._pool.run(_fetch, "forget_slots", kind.value, before_ms)

    async def document(self, name: str) -> Document:
        """See the port."""
        rows = await self._pool.run(_fetch, "document", name)
        return Document(*rows[0]) if rows else Document()

    async def keep_document(self, name: str, text: str, version: int) -> bool:
        """See the port."""
        if version:
            return bool(await self._pool.run(_fetch, "replace_document", name, text, version))
        return bool(await self._pool.run(_fetch, "add_document", name, text))


async def _fetch(connection: Connection, name: str, *values: object) -> list[Sequence[Any]]:
    return await connection.fetch(SQL[name], *values)
