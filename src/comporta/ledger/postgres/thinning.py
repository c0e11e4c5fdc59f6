"""Forgetting a day of the ledger in PostgreSQL: a table with what is still needed takes its place.

What is needed is copied first, which holds up nobody. Then the tables are locked for the moment in
which the copy is brought up to date and exchanged for the whole; if nothing of it is needed, the
whole is dropped. Whoever cannot have the locks at once gives up: dispatch goes first.
"""

from collections.abc import Sequence

import asyncpg  # type: ignore[import-untyped]
import msgspec

from comporta.clients.postgresql import Connection
from comporta.errors import StoreError
from comporta.i18n import _
from comporta.ledger.keeping import Kept
from comporta.ledger.postgres import days as days_
from comporta.ledger.sql import blocks

SQL = blocks("postgres_keeping")
NEEDED_MAX = 10_000
"""Of a day of which more is needed the rest is forgotten row by row: exchanging it takes long."""
COPY_MS = 60_000
LOCK_MS = 200
"""What others may wait for, at most, while the locks are waited for; then none is taken."""
EXCHANGE_MS = 500
"""What a statement may take while they are held."""
_TABLES = {
    Kept.BODIES: ("bodies",),
    Kept.ATTEMPTS: ("attempts",),
    # In the order in which a batch is recorded.
    Kept.EVENTS: ("events", "bodies", "deliveries", "attempts"),
}
_SAME = {
    "deliveries": "t.id = k.id AND ROW(t.*) IS NOT DISTINCT FROM ROW(k.*)",
    "attempts": "t.delivery_id = k.delivery_id AND t.number = k.number",
}
# Only deliveries change; a copy of anything else that has gone meanwhile is no more than too much.
_BRING_UP = {
    "events": ("add_missing_by_key",),
    "bodies": ("add_missing_by_key",),
    "deliveries": ("drop_stale", "add_missing"),
    "attempts": ("add_missing",),
}
_KEYS = {"events": "id", "bodies": "event_id", "deliveries": "event_id", "attempts": "delivery_id"}
"""The column by which what is needed is known."""


class BusyError(StoreError):
    """Somebody uses what is to be exchanged, or is about to exchange it as well."""

    retryable = True


class TooMuchError(StoreError):
    """So much of the day is needed that exchanging it would take long."""


class Day(msgspec.Struct, frozen=True, order=True):
    """A day of which there are tables."""

    number: int
    """Since 1970, UTC."""
    thinned: bool = True
    """All of its tables have only what was needed when they were exchanged."""


async def days(connection: Connection, kind: Kept) -> list[Day]:
    """Those of which there is something of a kind, oldest first."""
    found: dict[int, bool] = {}
    for part, table, thinned in await connection.fetch(SQL["days"], list(_TABLES[kind])):
        number = int(part.removeprefix(f"{table}_"))
        found[number] = found.get(number, True) and thinned
    return sorted(Day(number, thinned) for number, thinned in found.items())


async def needed(connection: Connection, kind: Kept, day: int) -> int:
    """How much of a day somebody needs; at most `NEEDED_MAX` + 1 is counted."""
    statement = SQL["weigh"].format(needed=_needed(kind, day, _TABLES[kind][0]))
    return int(await connection.fetchval(statement, NEEDED_MAX + 1))


async def copy(connection: Connection, kind: Kept, day: int) -> int:
    """Copy what is needed, or bring a copy up to date; about how many rows are not.

    Raises:
        BusyError: another server is at it.
        TooMuchError: it takes too long.
    """
    await _begin(connection, COPY_MS)
    tables = await _there(connection, kind, day)
    for table in tables:
        if not await _is_copied(connection, table, day):
            await connection.execute(SQL["make_kept"].format(**_names(table, day)))
    try:
        await _bring_up(connection, kind, day, tables)
    except asyncpg.QueryCanceledError:
        raise _too_much(day) from None
    if _TABLES[kind][0] not in tables:
        return 0
    return int(await connection.fetchval(SQL["how_many"].format(**_names(_TABLES[kind][0], day))))


async def exchange(connection: Connection, kind: Kept, day: int) -> None:
    """Put the copies in the place of the whole, or nothing, if nothing is needed.

    Raises:
        BusyError: the locks cannot be had at once, or another server is at it.
        TooMuchError: it takes too long.
    """
    await _begin(connection, LOCK_MS)
    try:
        await connection.fetchval(days_.LOCK)
        tables = await _there(connection, kind, day)
        if not tables or not all([await _is_copied(connection, one, day) for one in tables]):
            raise _another()  # who was faster
        locked = [
            f"ONLY {name}" for table in tables for name in (table, _names(table, day)["part"])
        ]
        await connection.execute(f"LOCK TABLE {', '.join(locked)} IN ACCESS EXCLUSIVE MODE")
    except asyncpg.QueryCanceledError:
        raise BusyError(_("Old days of the ledger are in use; they are forgotten later.")) from None
    await connection.execute(f"SET LOCAL statement_timeout = {EXCHANGE_MS}")
    try:
        await _bring_up(connection, kind, day, tables)
        kept = await needed(connection, kind, day)
    except asyncpg.QueryCanceledError:
        raise _too_much(day) from None
    for table in tables:
        names = _names(table, day)
        await connection.execute("DROP TABLE {part}".format(**names))
        await connection.execute((SQL["attach"] if kept else "DROP TABLE {kept}").format(**names))


async def _begin(connection: Connection, statement_ms: int) -> None:
    if not await connection.fetchval(SQL["one_at_a_time"]):
        raise _another()
    await connection.execute(f"SET LOCAL statement_timeout = {statement_ms}")


async def _bring_up(connection: Connection, kind: Kept, day: int, tables: Sequence[str]) -> None:
    for table in tables:
        names = _names(table, day) | {"needed": _needed(kind, day, table)}
        for name in _BRING_UP[table]:
            await connection.execute(SQL[name].format(**names))


async def _there(connection: Connection, kind: Kept, day: int) -> Sequence[str]:
    """The tables of a kind that have this day: its bodies may have gone before it."""
    parts = await connection.fetch(SQL["days"], list(_TABLES[kind]))
    found = {part for part, _table, _thinned in parts}
    return [table for table in _TABLES[kind] if days_.part_of(table, day) in found]


async def _is_copied(connection: Connection, table: str, day: int) -> bool:
    kept = _names(table, day)["kept"]
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", kept))


def _names(table: str, day: int) -> dict[str, object]:
    part = days_.part_of(table, day)
    low, high = days_.range_of(day)
    return {
        "table": table,
        "part": part,
        "kept": f"{part}_kept",
        "low": low,
        "high": high,
        "same": _SAME.get(table),
        "key": _KEYS[table],
        "column": days_.TABLES[table],
    }


def _needed(kind: Kept, day: int, table: str) -> str:
    """The question for what is needed of a table, by its key."""
    low, high = days_.range_of(day)
    if kind is Kept.ATTEMPTS:
        return SQL["needed_deliveries"].format(low=low, high=high)
    events = SQL["needed_events"].format(low=low, high=high)
    if kind is Kept.EVENTS:
        events = f"{events} UNION ALL {SQL['needed_replays'].format(low=low, high=high)}"
    if table == "attempts":
        return SQL["deliveries_of"].format(low=low, high=high, events=events)
    return events


def _another() -> BusyError:
    return BusyError(_("Another server forgets old days of the ledger."))


def _too_much(day: int) -> TooMuchError:
    said = _("Day {day} of the ledger has too much that is open or dead to be exchanged.")
    return TooMuchError(said.format(day=day))
