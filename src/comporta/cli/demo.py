"""`comporta demo`: the whole loop on one machine, from three Chatwoots through a gateway to a sink.

Everything is temporary. What counts is proved from outside: each event that was answered with 2xx
has to reach the sink, byte for byte.
"""

import asyncio
import base64
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.exits import Exit
from comporta.cli.gateway_process import free_port, gateway
from comporta.cli.progress import bar
from comporta.cli.summaries import listed, millis
from comporta.domain.fleet import SourceKind
from comporta.i18n import _
from comporta.testing.emulator import simulate
from comporta.testing.observed import SinkReport
from comporta.testing.simulation import SimulatedChatwoot, SimulationPlan, SimulationSummary
from comporta.testing.sink import Sink
from comporta.testing.sink_connection import SinkBehaviour
from comporta.urls import webhook_url
from comporta.vault import new_token

RATE_PER_S = 60.0
SEND_S = 8.0
DRAIN_S = 20.0
CONVERSATIONS = 6
FAILING = SinkBehaviour(mode="fail", share=0.02)
"""A few deliveries are refused, so that retries are seen at work."""
_POLL_S = 0.1
_NAMES = {
    "loja-sp": SourceKind.ACCOUNT,
    "clinica-rio": SourceKind.API_INBOX,
    "escola-bh": SourceKind.AGENT_BOT,
}
Show = Callable[[float, str], None]


class Shown(msgspec.Struct, frozen=True):
    """What the demo found out."""

    accepted: int
    delivered: int
    lost: int
    duplicates: int
    out_of_order: int
    retried: int
    ack_p50_ms: float
    ack_p99_ms: float
    ack_max_ms: float
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(demo)


async def demo(
    desk: Desk,
    *,
    seconds: Annotated[
        float, typer.Option(min=1, max=600, help=_("How long the Chatwoots send."))
    ] = SEND_S,
) -> None:
    """Show the whole loop, with all that it needs.

    Three emulated Chatwoots, a gateway and a destination run for a few seconds. The exit code is 1
    if an accepted event was lost.
    """
    desk.screen.note(_("Starting a gateway, a destination and three Chatwoots …"))
    with tempfile.TemporaryDirectory(prefix="comporta-demo-") as folder:
        done = await _run(desk, Path(folder), seconds)
    desk.screen.result(msgspec.to_builtins(done), _in_words(done))
    if done.lost:
        raise typer.Exit(Exit.ERROR)


async def _run(desk: Desk, folder: Path, seconds: float) -> Shown:
    acked: set[bytes] = set()
    arrived: set[bytes] = set()
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"

    def arrival(status: int, digest: bytes) -> None:
        if status == 200:  # noqa: PLR2004
            arrived.add(digest)

    def now(sent: SimulationSummary) -> str:
        return _progress(sent, taking.report())

    port = free_port()
    taking = Sink(
        secret=secret,
        behaviour=FAILING,
        on_arrival=lambda one: arrival(one.status, one.digest),
    )
    async with taking:
        chatwoots, fleet = _fleet(port, taking.url, secret)
        file = folder / "fleet.toml"
        file.write_text(fleet, encoding="utf-8")
        async with gateway(folder, file, port):
            plan = SimulationPlan(
                chatwoots, RATE_PER_S, duration_s=seconds, conversations=CONVERSATIONS, run="demo"
            )
            with bar(desk.screen, seconds) as show:
                began_at = time.monotonic()
                sent = await simulate(
                    plan,
                    lambda so_far: show(time.monotonic() - began_at, now(so_far)),
                    lambda ack: acked.add(ack.digest),
                )
                await _drained(acked, arrived, lambda: show(seconds, now(sent)))
        return _shown(sent, taking.report(), len(acked - arrived))


def _fleet(port: int, sink_url: str, secret: str) -> tuple[tuple[SimulatedChatwoot, ...], str]:
    """Three Chatwoots, one of each kind, and the fleet file that knows them."""
    chatwoots, blocks = [], []
    for name, kind in _NAMES.items():
        token, signing = new_token(), secrets.token_urlsafe(24)
        url = webhook_url(f"http://127.0.0.1:{port}", token)
        chatwoots.append(SimulatedChatwoot(name, kind, url, signing))
        blocks.append(
            f'[[instance]]\nname = "{name}"\n[[instance.source]]\nname = "webhook"\n'
            f'kind = "{kind.value}"\ntoken = "{token}"\nsecrets = ["{signing}"]\n'
        )
    blocks.append(
        f'[[destination]]\nname = "sink"\nurl = "{sink_url}"\nsecret = "{secret}"\n'
        f"retry = [1, 1, 2, 2, 4, 4]\n"
        # Every event shall be seen to arrive, also those whose place a newer one could take.
        f'classes = {{ "*" = "ordered" }}\n'
        f'[[route]]\nname = "all"\nto = ["sink"]\n'
    )
    return tuple(chatwoots), "\n".join(blocks)


async def _drained(acked: set[bytes], arrived: set[bytes], show: Callable[[], None]) -> None:
    """Wait until all that was accepted has arrived, or too long."""
    ends_at = time.monotonic() + DRAIN_S
    while acked - arrived and time.monotonic() < ends_at:
        await asyncio.sleep(_POLL_S)
        show()


def _progress(sent: SimulationSummary, seen: SinkReport) -> str:
    words = _("{accepted} accepted, {delivered} delivered")
    return words.format(accepted=sent.accepted, delivered=seen.unique)


def _shown(sent: SimulationSummary, seen: SinkReport, lost: int) -> Shown:
    return Shown(
        accepted=sent.accepted,
        delivered=seen.unique,
        lost=lost,
        duplicates=seen.duplicates,
        out_of_order=seen.disorder,
        retried=seen.refused,
        ack_p50_ms=sent.ack_p50_ms,
        ack_p99_ms=sent.ack_p99_ms,
        ack_max_ms=sent.ack_max_ms,
        lag_p50_ms=seen.lag_p50_ms,
        lag_p99_ms=seen.lag_p99_ms,
        lag_max_ms=seen.lag_max_ms,
    )


def _in_words(done: Shown) -> str:
    acks = millis(done.ack_p50_ms, done.ack_p99_ms, done.ack_max_ms)
    lags = millis(done.lag_p50_ms, done.lag_p99_ms, done.lag_max_ms)
    return listed(
        [
            (_("Accepted"), done.accepted),
            (_("Delivered"), done.delivered),
            (_("Lost"), done.lost),
            (_("Duplicates"), done.duplicates),
            (_("Out of order"), done.out_of_order),
            (_("Refused on purpose and tried again"), done.retried),
            (_("Answer p50 / p99 / max"), acks),
            (_("Delivery lag p50 / p99 / max"), lags),
        ]
    )
