"""The SQLite ledger's rows as they are, for moving to another engine."""

from collections.abc import Sequence

import apsw

from comporta.embedded.reader import Reader
from comporta.embedded.rows import every, one
from comporta.ledger.copying import Table, Values
from comporta.ledger.sqlite.keeping import Write


class SqliteCopying:
    """The `Copying` port; a part of `SqliteLedger`.

    Args:
        reader: the ledger's.
        write: the ledger's.
    """

    def __init__(self, reader: Reader, write: Write) -> None:
        self._reader, self._write = reader, write

    async def row_count(self, table: Table) -> int:
        """See the port."""
        sql = f"SELECT count(*) FROM {table.name}"  # noqa: S608
        return int((await self._reader.run(one, sql))[0])

    async def rows(self, table: Table, after: Values | None) -> list[Values]:
        """See the port."""
        key, marks = ", ".join(table.key), ", ".join("?" * len(table.key))
        where = f" WHERE ({key}) > ({marks})" if after is not None else ""
        columns = ", ".join(f'"{name}"' for name in table.columns)
        # Names of tables and columns are those of `copying.TABLES`.
        sql = f"SELECT {columns} FROM {table.name}{where} ORDER BY {key} LIMIT {table.rows}"  # noqa: S608
        found = await self._reader.run(every, sql, after or ())
        flags = [table.columns.index(name) for name in table.booleans]
        return [_with_booleans(row, flags) for row in found] if flags else found

    async def add_rows(self, table: Table, rows: Sequence[Values]) -> None:
        """See the port."""
        columns = ", ".join(f'"{name}"' for name in table.columns)
        marks = ", ".join("?" * len(table.columns))
        sql = f"INSERT OR IGNORE INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608
        await self._write(_add, sql, rows)


def _add(connection: apsw.Connection, sql: str, rows: Sequence[Values]) -> None:
    connection.executemany(sql, rows)


def _with_booleans(row: Values, places: Sequence[int]) -> Values:
    values = list(row)
    for place in places:
        values[place] = bool(values[place])
    return tuple(values)
