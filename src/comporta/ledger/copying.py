"""What is copied from one ledger to another, row by row: the tables that all engines have.

A port of its own beside `port.Ledger`, for moving to another engine is its only user. Left out is
what is of no use elsewhere: nudges, for a new owner looks at every lane, and the growth of a disk.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

Values = tuple[Any, ...]
"""A row: numbers, texts, bytes, booleans and None, in the order of the table's columns."""


class Table(msgspec.Struct, frozen=True):
    """One table, as every engine has it."""

    name: str
    key: tuple[str, ...]
    """Rows are read in this order."""
    others: tuple[str, ...]
    booleans: tuple[str, ...] = ()
    """Those of the columns that are true or false, whatever an engine makes of them."""
    rows: int = 500
    """In one step: few where a row may be large."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the key first."""
        return (*self.key, *self.others)


TABLES = (
    Table("partitions", ("partition",), ("token", "offset", "last_id", "log")),
    Table(
        "events",
        ("id",),
        (
            *("accepted_at_ms", "instance_id", "source_id", "event_type", "account_id", "subject"),
            *("verified", "headers", "body_bytes", "duplicate_of", "keys"),
        ),
        ("verified",),
    ),
    Table("bodies", ("event_id",), ("body",), rows=50),
    Table(
        "deliveries",
        ("id",),
        (
            *("event_id", "route_id", "destination_id", "partition", "lane", "state", "attempts"),
            *("due_at_ms", "settled_at_ms", "reason", "replay", "conflate", "tried_at_ms"),
        ),
        ("replay",),
    ),
    Table(
        "attempts",
        ("delivery_id", "number"),
        ("started_at_ms", "duration_ms", "status", "error", "response"),
        rows=200,
    ),
    Table("source_accounts", ("source_id",), ("account_id",)),
    Table("operations", ("id",), ("at_ms", "who", "what", "which", "count")),
    Table(
        "api_keys",
        ("id",),
        (
            *("name", "scope", "digest", "hint", "created_at_ms", "created_by"),
            *("last_used_at_ms", "revoked_at_ms"),
        ),
    ),
    Table("idempotency", ("caller", "key"), ("digest", "begun_at_ms", "answer")),
    Table(
        "slots",
        ("kind", "start_ms", "name"),
        ("count", "bad", "spent_ms", "last_at_ms", "minutes"),
    ),
    Table("documents", ("name",), ("version", "text"), rows=5),
    Table("measures", ("kind", "start_ms"), ("rows", "bytes", "settled"), ("settled",)),
    Table("fleets", ("version",), ("document", "changed_at_ms", "changed_by", "summary")),
)
"""The fleet comes last: a ledger that has one was copied whole, or is in use."""


class Copying(Protocol):
    """A ledger whose rows can be read and added as they are."""

    async def row_count(self, table: Table) -> int:
        """How many rows it has."""
        ...

    async def rows(self, table: Table, after: Values | None) -> list[Values]:
        """The next `table.rows` rows beyond a key; None: from the start."""
        ...

    async def add_rows(self, table: Table, rows: Sequence[Values]) -> None:
        """Add rows, but for those whose key is there already."""
        ...
