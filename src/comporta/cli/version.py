"""`comporta version`."""

import platform

import apsw
import typer

import comporta
from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.i18n import _


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(version)


def version(desk: Desk) -> None:
    """Show the versions of Comporta and its parts."""
    desk.screen.record(
        (
            ("version", "Comporta", comporta.__version__),
            ("python", "Python", platform.python_version()),
            ("sqlite", "SQLite", apsw.sqlite_lib_version()),
            ("platform", _("System"), platform.platform(terse=True)),
        )
    )
