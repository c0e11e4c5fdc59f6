"""`comporta doctor`: is everything as it should be, and if not, what to do."""

from collections.abc import AsyncIterator

import typer

from comporta.cli import checks
from comporta.cli.checks import Finding, Level
from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.exits import Exit
from comporta.cli.screen import Column, Row, Word
from comporta.cli.server_checks import server_checks
from comporta.errors import ComportaError, ConfigError
from comporta.i18n import _


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(doctor)


async def doctor(desk: Desk) -> None:
    """Check everything; say what to do.

    Settings, disk, stores, workers, fleet and clock are looked at.

    The exit code is 1 if something is wrong; warnings alone do not count.
    """
    findings = [one async for one in _examine(desk)]
    columns = (
        Column("check", _("CHECK")),
        Column("level", _("LEVEL")),
        Column("found", _("FOUND")),
        Column("todo", _("WHAT TO DO")),
    )
    desk.screen.table(columns, [_cells(one) for one in findings], empty="")
    if any(one.level is Level.ERROR for one in findings):
        raise typer.Exit(Exit.ERROR)


async def _examine(desk: Desk) -> AsyncIterator[Finding]:
    settings = Word("settings", _("settings"))
    try:
        folder = desk.settings.data
    except ConfigError as error:
        yield Finding(settings, Level.ERROR, str(error), _("Correct it; the rest waits for it."))
        return
    yield checks.ok(settings, _("readable"))
    yield checks.sqlite()
    yield checks.data_folder(folder)
    if not folder.is_dir():
        return
    yield checks.disk(folder)
    yield checks.alerts(desk.settings.alerts)
    for one in checks.spool(folder):
        yield one
    try:
        async with desk.local_stores() as stores, deadline():
            workers = await stores.state.workers(desk.now_ms(), desk.settings.lease_s)
            found = await checks.stores_checks(stores, desk.now_ms(), workers)
            found += server_checks(desk.settings, stores.ledger.engine, workers)
    except (ComportaError, TimeoutError) as error:
        stored = Word("stores", _("stores"))
        yield Finding(stored, Level.ERROR, str(error) or _("They do not answer."))
        return
    for one in found:
        yield one


def _cells(finding: Finding) -> Row:
    levels = {Level.OK: _("ok"), Level.WARN: _("warning"), Level.ERROR: _("error")}
    return {
        "check": finding.check,
        "level": Word(finding.level.value, levels[finding.level]),
        "found": finding.found,
        "todo": finding.todo,
    }
