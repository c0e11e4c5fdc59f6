"""What watching keeps in the embedded ledger. Writes are jobs of the ledger's own writer."""

from collections.abc import Sequence

import apsw

from comporta.embedded.reader import Reader
from comporta.embedded.rows import every, one
from comporta.ledger.sql import blocks
from comporta.ledger.sqlite.keeping import Write
from comporta.ledger.watching import SLOTS_READ_MAX, Counted, Document, Slot, row_of

SQL = blocks("sqlite_watching")


class SqliteWatching:
    """The `Watching` port; a part of `SqliteLedger`.

    Args:
        reader: the ledger's, for what may take a moment.
        write: the ledger's.
    """

    def __init__(self, reader: Reader, write: Write) -> None:
        self._reader, self._write = reader, write

    async def add_slots(self, slots: Sequence[Slot]) -> None:
        """See the port."""
        rows = [row_of(slot) for slot in slots]
        await self._write(lambda c: c.executemany(SQL["add_slot"], rows))

    async def slots(self, kind: Counted, since_ms: int) -> list[Slot]:
        """See the port."""
        values = (kind.value, since_ms, SLOTS_READ_MAX)
        rows = await self._reader.run(every, SQL["slots"], values)
        return [Slot(kind, name, start, *rest) for _, start, name, *rest in reversed(rows)]

    async def forget_slots(self, kind: Counted, before_ms: int) -> None:
        """See the port."""
        await self._write(lambda c: c.execute(SQL["forget_slots"], (kind.value, before_ms)))

    async def document(self, name: str) -> Document:
        """See the port."""
        row = await self._reader.run(one, SQL["document"], (name,))
        return Document() if row is None else Document(*row)

    async def keep_document(self, name: str, text: str, version: int) -> bool:
        """See the port."""
        return await self._write(_keep, name, text, version)


def _keep(connection: apsw.Connection, name: str, text: str, version: int) -> bool:
    if version:
        connection.execute(SQL["replace_document"], (name, text, version))
    else:
        connection.execute(SQL["add_document"], (name, text))
    return connection.changes() > 0
