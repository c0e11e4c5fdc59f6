"""`comporta apply` and `comporta export`: the fleet as a file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.planned import carried_out, show_done, show_plan
from comporta.cli.selection import Yes
from comporta.fleet.parse import read_text
from comporta.i18n import _


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(apply)
    command(app)(export)


async def apply(
    desk: Desk,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_("The fleet file."))],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=_("Show the changes and make none."))
    ] = False,
    yes: Yes = False,
) -> None:
    """Make the fleet what a fleet file says.

    The changes are shown first, and asked about.
    """
    async with desk.stores() as stores:
        text = read_text(file)
        plan = await stores.fleet.plan_file(text, str(file))
        show_plan(desk.screen, plan)
        if dry_run or not plan.changes:
            show_done(desk, plan, applied=False)
            return
        desk.confirm(_("Make these changes?"), yes=yes)
        done = await stores.fleet.apply_file(text, str(file), desk.who)
    show_done(desk, done)
    desk.screen.note(_("Done. All workers know within a second."))


async def apply_at_start(desk: Desk, file: Path) -> None:
    """Apply the fleet file of the settings, without asking; show what that changes.

    The workers apply it again, and find nothing to do: nobody would see a token that they make.
    """
    async with desk.local_stores() as stores:
        done = await stores.fleet.apply_file(read_text(file), str(file), desk.who)
    if done.changes:
        carried_out(desk, done)


async def export(
    desk: Desk,
    *,
    reveal: Annotated[
        bool, typer.Option("--reveal", help=_("Write secrets in the clear."))
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help=_("Write to this file, mode 600.")),
    ] = None,
) -> None:
    """Write the fleet as a fleet file.

    Tokens are written as digests; secrets sealed, so that only this gateway can read them.
    """
    async with desk.stores() as stores, deadline():
        text = await stores.fleet.export(reveal=reveal)
    if output is None:
        desk.screen.result({"fleet_toml": text}, text.rstrip("\n"))
        return
    _write_private(output, text)
    said = _("The fleet is in {file}.").format(file=output)
    desk.screen.result({"file": str(output)}, said)


def _write_private(path: Path, text: str) -> None:
    """Replace the file as a whole, never leaving half of one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
