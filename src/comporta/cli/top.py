"""`comporta top`: what goes on right now, per instance and destination, from `/metrics`.

It asks running gateways, and no store.
"""

from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.i18n import _

Url = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        metavar="URL",
        help=_("A gateway to ask; may be given several times. Default: the one on this machine."),
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(top)


async def top(
    desk: Desk,
    url: Url = None,
    once: Annotated[bool, typer.Option("--once", help=_("Print it once, and end."))] = False,
) -> None:
    """Watch rates, lags, latencies and failures of each instance and destination.

    What is in trouble stands first. Rates and percentiles are over the last half minute. q or
    Ctrl-C ends it.
    """
    from comporta.cli.top_run import watch  # noqa: PLC0415  (brings in aiohttp and rich)

    await watch(desk, url or (), once=once)
