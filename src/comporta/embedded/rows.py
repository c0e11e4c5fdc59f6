"""Small ways of asking SQLite: one row, all rows, and a transaction that is surely ended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

Values = Sequence[Any] | Mapping[str, Any]


def one(connection: apsw.Connection | apsw.Cursor, sql: str, values: Values = ()) -> Any:
    """The first row (a tuple), or None if there is none."""
    return connection.execute(sql, values).fetchone()


def every(connection: apsw.Connection | apsw.Cursor, sql: str, values: Values = ()) -> list[Any]:
    """All rows."""
    return connection.execute(sql, values).fetchall()


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """A write transaction: committed at the end, rolled back if anything is raised inside."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
