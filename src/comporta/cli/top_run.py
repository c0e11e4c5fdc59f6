"""Runs `comporta top`: asks the gateways again and again, and shows what they say.

At a terminal it is drawn anew every two seconds; in a pipe it is printed once, or as JSON one
object a line.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import typer

from comporta.cli import top_words as words
from comporta.cli.desk import Desk
from comporta.cli.screen import Column, Instant
from comporta.cli.top_asking import Watched, ask_all, token_for
from comporta.cli.top_picture import Picture, picture
from comporta.cli.top_screen import LiveScreen
from comporta.errors import RemoteError
from comporta.i18n import _

PERIOD_S = 2.0
URLS_MAX = 64


async def watch(desk: Desk, given: Sequence[str], *, once: bool) -> None:
    """Show the gateways at these URLs; without any, the one on this machine.

    Raises:
        RemoteError: none of them answers.
        ConfigError: a URL or the token cannot be used.
    """
    urls = given or [f"http://127.0.0.1:{desk.settings.port}"]
    if len(urls) > URLS_MAX:
        said = _("At most {count} gateways can be watched at a time.")
        raise typer.BadParameter(said.format(count=URLS_MAX), param_hint="--url")
    token = token_for(desk, urls)
    gateways = [Watched(one, token) for one in urls]
    await ask_all(gateways)
    if all(one.error for one in gateways):
        raise RemoteError("\n".join(one.error for one in gateways))
    if once or not (desk.screen.json or sys.stdout.isatty()):
        await _once(desk, gateways)
    elif desk.screen.json:
        await _lines(desk, gateways)
    else:
        await _live(gateways)


async def _once(desk: Desk, gateways: Sequence[Watched]) -> None:
    found = await _next(gateways)
    if desk.screen.json:
        desk.screen.result(_data(found, gateways), "")
        return
    for one in gateways:
        if one.error:
            desk.screen.note(one.error)
    for line in words.headline(found.totals):
        desk.screen.say(line)
    desk.screen.say()
    rows = words.destination_cells(found.destinations)
    desk.screen.table(words.destination_columns(), rows, empty=_("No destinations."))
    desk.screen.say()
    cells = words.instance_cells(found.instances)
    desk.screen.table(words.instance_columns(), cells, empty=_("No instances."))


async def _lines(desk: Desk, gateways: Sequence[Watched]) -> None:
    """One object a line, until whoever reads them has seen enough."""
    while True:
        data = _data(await _next(gateways), gateways)
        desk.screen.line([Column(key, key) for key in data], data)


async def _live(gateways: Sequence[Watched]) -> None:
    screen = LiveScreen("comporta top   " + " ".join(one.url for one in gateways))
    with screen.shown() as leave:
        while not leave.is_set():
            screen.draw(_picture(gateways), [one.error for one in gateways if one.error])
            with suppress(TimeoutError):
                await asyncio.wait_for(leave.wait(), PERIOD_S)
            await ask_all(gateways)


async def _next(gateways: Sequence[Watched]) -> Picture:
    await asyncio.sleep(PERIOD_S)
    await ask_all(gateways)
    return _picture(gateways)


def _picture(gateways: Sequence[Watched]) -> Picture:
    views = [view for one in gateways if (view := one.view()) is not None]
    return picture(views, time.time())


def _data(found: Picture, gateways: Sequence[Watched]) -> dict[str, object]:
    return {
        "at": Instant(int(time.time() * 1000)),
        "gateways": [{"url": one.url, "error": one.error or None} for one in gateways],
        **msgspec.to_builtins(found),
    }
