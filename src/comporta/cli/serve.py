"""`comporta serve`: runs the gateway in this terminal, with as many workers as asked for.

Workers are processes of their own and read the settings themselves, so what is decided here travels
to them in the environment.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.first import make_folder
from comporta.cli.fleetfile import apply_at_start
from comporta.cli.planned import carried_out
from comporta.cli.welcome import greet, watching
from comporta.enrolment import enrol_handlers
from comporta.errors import ComportaError
from comporta.handlers.loading import load_handlers
from comporta.handlers.registry import Handler
from comporta.i18n import _, current
from comporta.listening import bound, inherited

WORKERS_MAX = 256


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(serve)


def serve(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    host: Annotated[
        str | None, typer.Option(help=_("Address to listen on. Default: the setting host."))
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help=_("Port to listen on. Default: the setting port.")),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=WORKERS_MAX, help=_("How many worker processes."))
    ] = 1,
    fleet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=_("Apply this fleet file at start, without asking.")),
    ] = None,
    handlers: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME", help=_("Run the Python handlers of this comporta.Gateway.")
        ),
    ] = None,
    roles: Annotated[
        str | None,
        typer.Option(
            metavar="ROLES",
            help=_("What this server does, such as ingest,console. Default: the setting roles."),
        ),
    ] = None,
    welcome: Annotated[
        bool,
        typer.Option(
            "--welcome", help=_("Make a first instance if there is none; show events as they come.")
        ),
    ] = False,
) -> None:
    """Run the gateway until Ctrl-C."""
    given_here = {"HOST": host, "PORT": port, "FLEET": fleet, "HANDLERS": handlers, "ROLES": roles}
    for name, value in given_here.items():
        if value is not None:
            os.environ[f"COMPORTA_{name}"] = str(value)
    os.environ["COMPORTA_LANG"] = current()
    if welcome:  # what happens is shown event by event; log lines would only hide it
        os.environ.setdefault("COMPORTA_LOG_LEVEL", "warning")
    settings = desk.settings
    given = _from_systemd()
    ports = given or [bound(settings.host, settings.port)]
    make_folder(desk)
    # Imported before anything is changed: what is wrong with the module refuses the start.
    enrolled = load_handlers(settings.handlers) if settings.handlers else ()
    if settings.fleet is not None:
        asyncio.run(apply_at_start(desk, settings.fleet))
    if enrolled:
        asyncio.run(_enrol(desk, enrolled))
    if welcome:
        asyncio.run(greet(desk))
    with watching(desk) if welcome else contextlib.nullcontext():
        _run(desk, workers, ports, ours=not given)


def _from_systemd() -> list[socket.socket]:
    from comporta.settings import environment  # noqa: PLC0415  (heavy)

    return inherited(environment("LISTEN_FDS"), environment("LISTEN_PID"), os.getpid())


async def _enrol(desk: Desk, handlers: Sequence[Handler]) -> None:
    """Make the handlers part of the fleet; show what that changes."""
    async with desk.local_stores() as stores:
        done = await enrol_handlers(stores.fleet, handlers)
    if done.changes:
        carried_out(desk, done)


def _run(desk: Desk, workers: int, ports: Sequence[socket.socket], *, ours: bool) -> None:
    from comporta import supervising  # noqa: PLC0415  (heavy, and only needed here)
    from comporta.telemetry import logs  # noqa: PLC0415

    settings = desk.settings
    logs.configure(settings.log_level, server=settings.server_name)
    try:
        supervising.serve(settings, workers, ports, ours=ours)
    except SystemExit as end:
        if end.code:
            said = _("The gateway could not start; the reason stands above.")
            raise ComportaError(said) from None
