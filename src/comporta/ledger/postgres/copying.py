"""The PostgreSQL ledger's rows as they are, for moving to another engine."""

from collections.abc import Sequence

from comporta.clients.postgresql import Connection
from comporta.clients.postgresql_database import Database
from comporta.ledger.copying import Table, Values
from comporta.ledger.postgres.days import TABLES as IN_PARTS
from comporta.ledger.postgres.days import Days, day_of

_NAMES = {"offset": "log_offset"}
"""Columns that are called otherwise here."""
_NUMBERED = "operations"
"""It numbers its rows itself, from the next number on."""


class PostgresCopying:
    """The `Copying` port; a part of `PostgresLedger`.

    Args:
        database: with its pools.
        days: the parts of the tables.
    """

    def __init__(self, database: Database, days: Days) -> None:
        self._pool, self._days = database.people, days

    async def row_count(self, table: Table) -> int:
        """See the port."""
        return await self._pool.run(_count, table)

    async def rows(self, table: Table, after: Values | None) -> list[Values]:
        """See the port."""
        return await self._pool.run(_rows, table, after)

    async def add_rows(self, table: Table, rows: Sequence[Values]) -> None:
        """See the port."""
        await self._days.run(self._pool, _add, self._days, table, rows)


def _columns(table: Table) -> list[str]:
    return [_NAMES.get(name, name) for name in table.columns]


async def _count(connection: Connection, table: Table) -> int:
    sql = f"SELECT count(*) FROM {table.name}"  # noqa: S608  (of copying.TABLES)
    return int(await connection.fetchval(sql))


async def _rows(connection: Connection, table: Table, after: Values | None) -> list[Values]:
    key = ", ".join(table.key)
    marks = ", ".join(f"${place + 1}" for place in range(len(table.key)))
    where = f"WHERE ({key}) > ({marks})" if after is not None else ""
    columns = ", ".join(_columns(table))
    sql = f"SELECT {columns} FROM {table.name} {where} ORDER BY {key} LIMIT {table.rows}"  # noqa: S608
    return [tuple(row) for row in await connection.fetch(sql, *(after or ()))]


async def _add(connection: Connection, days: Days, table: Table, rows: Sequence[Values]) -> None:
    if table.name in IN_PARTS:
        await days.need(connection, {day_of(row[0]) for row in rows})
    columns = ", ".join(_columns(table))
    await connection.execute(f"CREATE TEMP TABLE copied (LIKE {table.name}) ON COMMIT DROP")
    await connection.copy_records_to_table("copied", records=rows, columns=_columns(table))
    await connection.execute(
        f"INSERT INTO {table.name} ({columns}) OVERRIDING SYSTEM VALUE"  # noqa: S608
        f" SELECT {columns} FROM copied ON CONFLICT DO NOTHING"
    )
    if table.name == _NUMBERED:
        await connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id))"  # noqa: S608
            f" FROM {table.name}"
        )
