"""`comporta simulate`: events as many Chatwoots send them, to the local gateway or to another."""

import secrets
import time
from typing import Annotated

import typer
from msgspec.structs import replace

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.enrolled import PREFIX, enrolled
from comporta.cli.exits import Exit
from comporta.cli.progress import bar
from comporta.cli.selection import Yes
from comporta.cli.summaries import show_simulation
from comporta.domain.fleet import SourceKind
from comporta.errors import ComportaError
from comporta.i18n import _
from comporta.testing.emulator import simulate as send
from comporta.testing.simulation import SimulatedChatwoot, SimulationPlan, SimulationSummary

CHATWOOTS_MAX = 500
DURATION_S = 10.0
SLOW_PER_S, FEW, MANY = 50.0, 2, 20
"""Conversations at once for each Chatwoot: few at a slow rate, so that each gets somewhere."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(simulate)


async def simulate(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    chatwoots: Annotated[
        int, typer.Option(min=1, max=CHATWOOTS_MAX, help=_("How many Chatwoots."))
    ] = 3,
    rate: Annotated[
        float, typer.Option(min=0, help=_("Events a second, over all; 0: as fast as possible."))
    ] = 10.0,
    count: Annotated[int | None, typer.Option(min=1, help=_("Stop after so many events."))] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.1, help=_("Stop after so many seconds."))
    ] = None,
    signed: Annotated[
        bool, typer.Option("--signed/--unsigned", help=_("With Chatwoot's signature, or without."))
    ] = True,
    kind: Annotated[
        SourceKind, typer.Option(help=_("Which webhook of Chatwoot calls."))
    ] = SourceKind.ACCOUNT,
    url: Annotated[
        list[str] | None,
        typer.Option(
            "--webhook-url", metavar="URL", help=_("Send here instead, in turn. Repeatable.")
        ),
    ] = None,
    secret: Annotated[
        str | None, typer.Option(metavar="SECRET", help=_("The signing secret for --webhook-url."))
    ] = None,
    yes: Yes = False,
) -> None:
    """Send events as many Chatwoots would.

    They are realistic, and the answers are measured. The local gateway gets an instance for each
    Chatwoot, until the end; routes for all instances lead their events to real destinations. The
    exit code is 1 if an event was not accepted.
    """
    if count is None and duration is None:
        duration = DURATION_S
    plan = SimulationPlan(
        tuple(
            SimulatedChatwoot(name, kind, url[n % len(url)] if url else "", secret, signed)
            for n, name in enumerate(_names(chatwoots))
        ),
        rate,
        count,
        duration,
        conversations=FEW if 0 < rate <= SLOW_PER_S else MANY,
        run=f"{PREFIX}{secrets.token_hex(4)}",
    )
    if url:
        done = await _send(desk, plan)
    else:
        async with enrolled(desk, plan.chatwoots, yes=yes) as known:
            done = await _send(desk, replace(plan, chatwoots=known))
    show_simulation(desk.screen, done)
    if done.accepted < done.sent:
        raise typer.Exit(Exit.ERROR)


async def _send(desk: Desk, plan: SimulationPlan) -> SimulationSummary:
    began_at = time.monotonic()
    total = plan.events if plan.duration_s is None else plan.duration_s
    with bar(desk.screen, total or 0) as show:

        def progress(done: SimulationSummary) -> None:
            far = done.sent if plan.duration_s is None else time.monotonic() - began_at
            words = _("{sent} sent, {accepted} accepted")
            show(far, words.format(sent=done.sent, accepted=done.accepted))

        try:
            return await send(plan, progress)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        except OSError as error:
            said = _("The host of a webhook URL cannot be found: {reason}.")
            raise ComportaError(said.format(reason=error.strerror)) from None


def _names(count: int) -> list[str]:
    return [f"{PREFIX}{number}" for number in range(1, count + 1)]
