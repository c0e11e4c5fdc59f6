"""`comporta simulate`: events as many Chatwoots send them, to a gateway.

Without `--webhook-url` it uses the local gateway: it makes instances `sim-1` … in the local fleet,
with a fresh source each, and leaves routes alone.
"""

import asyncio
import secrets
import time
from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.exits import Exit
from comporta.cli.progress import bar
from comporta.cli.summaries import show_simulation
from comporta.domain.fleet import SourceKind
from comporta.errors import ComportaError
from comporta.i18n import _
from comporta.testing.emulator import simulate as send
from comporta.testing.simulation import SimulatedChatwoot, SimulationPlan, SimulationSummary
from comporta.urls import webhook_url
from comporta.vault import new_token

CHATWOOTS_MAX = 500
DURATION_S = 10.0
SOURCE = "simulated"
SLOW_PER_S, FEW, MANY = 50.0, 2, 20
"""Conversations at once for each Chatwoot: few at a slow rate, so that each gets somewhere."""
FLEET_LIVE_S = 1.5
"""A change of the fleet is live in all workers within a second."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(simulate)


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
) -> None:
    """Send events as many Chatwoots would.

    They are realistic, and the answers are measured. The exit code is 1 if an event was not
    accepted.
    """
    if url:
        every = [
            SimulatedChatwoot(f"sim-{n + 1}", kind, url[n % len(url)], secret, signed)
            for n in range(chatwoots)
        ]
    else:
        every = await _local(desk, chatwoots, kind, signed=signed)
    if count is None and duration is None:
        duration = DURATION_S
    plan = SimulationPlan(
        tuple(every),
        rate,
        count,
        duration,
        conversations=FEW if 0 < rate <= SLOW_PER_S else MANY,
        run=f"sim-{secrets.token_hex(4)}",
    )
    done = await _send(desk, plan)
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


async def _local(
    desk: Desk, count: int, kind: SourceKind, *, signed: bool
) -> list[SimulatedChatwoot]:
    """Instances `sim-1` … with a new source each, known to the running gateway."""
    host = desk.settings.host if desk.settings.host not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104
    base = f"http://{host}:{desk.settings.port}"
    await _is_there(host, desk.settings.port)
    made = []
    async with desk.stores() as stores:
        there = {one.name: one for one in (await stores.fleet.read()).instances}
        for number in range(1, count + 1):
            name, token, secret = f"sim-{number}", new_token(), secrets.token_urlsafe(24)
            if name not in there:
                await stores.fleet.add_instance(name, "", desk.who)
            elif any(source.name == SOURCE for source in there[name].sources):
                await stores.fleet.remove_source(name, SOURCE, desk.who)
            await stores.fleet.add_source(
                *(name, SOURCE, kind, desk.who), token=token, secrets=[secret] if signed else []
            )
            url = webhook_url(base, token)
            made.append(SimulatedChatwoot(name, kind, url, secret, signed))
    await asyncio.sleep(FLEET_LIVE_S)
    return made


async def _is_there(host: str, port: int) -> None:
    """Fail early and in words if no gateway listens.

    Raises:
        ComportaError: nobody does.
    """
    try:
        async with deadline(5):
            _reader, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except OSError:
        said = _("No gateway listens at {host}:{port}. Start it: comporta serve")
        raise ComportaError(said.format(host=host, port=port)) from None
