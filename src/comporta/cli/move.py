"""`comporta move`: what waits in one engine goes into another, before the gateway uses that one."""

from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.progress import bar
from comporta.cli.screen import Column, Row
from comporta.cli.selection import Yes
from comporta.engines import Store
from comporta.errors import ConflictError
from comporta.i18n import _
from comporta.ledger.port import Ledger
from comporta.operating.moving import check_alone, copy_ledger, move_log, row_count
from comporta.urls import masked_url


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(move)


From = Annotated[str, typer.Option("--from", metavar="URL", help=_("The engine to empty."))]
To = Annotated[str, typer.Option("--to", metavar="URL", help=_("The engine to fill."))]


async def move(desk: Desk, *, source: From, target: To, yes: Yes = False) -> None:
    """Move what one engine holds into another.

    Events that wait in a log, or a whole ledger. Stop the gateway first, and start it with the new
    URL afterwards. A log is emptied; a ledger is copied, and the old one stays as it is. Begin a
    move that was interrupted again: nothing is lost or doubled.
    """
    from comporta.makers import store_of  # noqa: PLC0415  (brings in the engines)

    store = store_of(source, target)
    names = {"source": masked_url(source), "target": masked_url(target)}
    async with desk.local_stores() as stores:
        now_ms = desk.now_ms()
        check_alone(len(await stores.state.workers(now_ms, desk.settings.lease_s)))
        question = _("Move the {store} from {source} to {target}?")
        desk.confirm(question.format(store=store, **names), yes=yes)
        if store is Store.LOG:
            await _move_log(desk, stores.ledger, source, target)
    if store is Store.LEDGER:
        await _copy_ledger(desk, source, target)


async def _move_log(desk: Desk, ledger: Ledger, source: str, target: str) -> None:
    from comporta.makers import log_at  # noqa: PLC0415
    from comporta.stores import opened  # noqa: PLC0415

    settings = desk.settings
    partitions, body_bytes_max = settings.partitions, settings.body_bytes_max
    old = log_at(source, partitions, body_bytes_max, upkeep=True)
    new = log_at(target, partitions, body_bytes_max, upkeep=True)
    async with opened(old, new):
        with bar(desk.screen, await old.lag()) as move_bar:
            found = await move_log(
                old, new, ledger, desk.now_ms(), lambda count: move_bar(count, str(count))
            )
    _show(desk, [_row("log", found.moved, found.left, found.waiting)])
    if found.left:
        raise ConflictError(
            _("{left} events are still in the old log. Begin the move again.").format(
                left=found.left
            )
        )


async def _copy_ledger(desk: Desk, source: str, target: str) -> None:
    from comporta.makers import ledger_at  # noqa: PLC0415
    from comporta.stores import opened  # noqa: PLC0415

    window_s = desk.settings.dedupe_window_s
    old = ledger_at(source, window_s, upkeep=True)
    new = ledger_at(target, window_s, upkeep=True)
    async with opened(old, new):
        total = await row_count(old.copying)
        with bar(desk.screen, total) as copy_bar:
            tables = await copy_ledger(
                old.copying, new, lambda table, count: copy_bar(count, table)
            )
    _show(desk, [_row(one.table, one.source, one.source, one.target) for one in tables])


def _row(what: str, moved: int, old: int, new: int) -> Row:
    return {"what": what, "moved": moved, "old": old, "new": new}


def _show(desk: Desk, rows: list[Row]) -> None:
    columns = (
        Column("what", _("WHAT")),
        Column("moved", _("MOVED"), right=True),
        Column("old", _("IN THE OLD ONE"), right=True),
        Column("new", _("IN THE NEW ONE"), right=True),
    )
    desk.screen.table(columns, rows, empty="")
