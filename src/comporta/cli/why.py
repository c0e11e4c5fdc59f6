"""`comporta why INSTANCE`: is it them or us, with the numbers that say so."""

from typing import Annotated

import msgspec
import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.moments import since_ms
from comporta.cli.screen import in_json
from comporta.cli.why_words import in_words, numbers_of
from comporta.domain.diagnosis import diagnose
from comporta.fleet.named import find
from comporta.i18n import _
from comporta.operating.evidence import Window, gather

WINDOW = "15m"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(why)


async def why(
    desk: Desk,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help=_("The instance's name."))],
    *,
    since: Annotated[
        str, typer.Option(help=_("Look back so far: 45s, 30m, 2h, 7d, or to a date."))
    ] = WINDOW,
) -> None:
    """Say where an instance's trouble is: with them, the network, us or a destination.

    With the numbers that led to it. The exit code is 0 whatever is found.
    """
    from comporta.cli.why_server import server_numbers  # noqa: PLC0415  (brings in aiohttp)

    now_ms = desk.now_ms()
    window = Window(since_ms(since, now_ms), now_ms)
    async with desk.stores() as stores, deadline():
        fleet = await stores.ledger.fleet()
        one = find("instance", instance, fleet.instances)
        numbers = await gather(stores.ledger, stores.state, fleet, one, window)
    numbers = msgspec.structs.replace(numbers, **await server_numbers(desk))
    diagnosis = diagnose(numbers)
    data = {
        "instance": one.name,
        "verdict": diagnosis.cause.value,
        "findings": msgspec.to_builtins(diagnosis.findings),
        "numbers": in_json(numbers_of(numbers)),
    }
    desk.screen.result(data, in_words(one.name, numbers, diagnosis))
