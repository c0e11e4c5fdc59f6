"""`comporta rejected`: requests that were refused, and why."""

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.events import Limit
from comporta.cli.names import Names
from comporta.cli.screen import Column, Instant, Row
from comporta.i18n import _
from comporta.state.port import Rejected


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(rejected)


async def rejected(desk: Desk, limit: Limit = 50) -> None:
    """List refused requests, with the reason.

    Newest first; only the newest are kept.
    """
    async with desk.stores() as stores, deadline():
        rows = await stores.state.rejected(limit)
        names = Names(await stores.ledger.fleet())
    shown = [_cells(row, names) for row in rows]
    columns = (*_columns(), Column("headers", _("HEADERS"))) if desk.screen.json else _columns()
    desk.screen.table(columns, shown, empty=_("Nothing was refused."))


def _columns() -> tuple[Column, ...]:
    return (
        Column("at", _("WHEN")),
        Column("status", _("STATUS"), right=True),
        Column("reason", _("REASON")),
        Column("method", _("METHOD")),
        Column("path", _("PATH")),
        Column("peer", _("FROM")),
        Column("source", _("SOURCE")),
        Column("body_bytes", _("BYTES"), right=True),
    )


def _cells(row: Rejected, names: Names) -> Row:
    return {
        "at": Instant(row.at_ms),
        "status": row.status,
        "reason": row.reason,
        "method": row.method,
        "path": row.path,
        "peer": row.peer,
        "source": names.source(row.source_id) if row.source_id else None,
        "body_bytes": row.body_bytes,
        "headers": dict(row.headers),
    }
