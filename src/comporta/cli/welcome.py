"""What `comporta serve --welcome` says at start, and the events it shows while the gateway runs.

It looks at the ledger from beside the gateway and is no part of it: if it fails, the gateway stays.
"""

import asyncio
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import comporta
from comporta.cli.desk import Desk, deadline
from comporta.cli.first import INSTANCE, first_instance, new_token_hint
from comporta.cli.following import POLL_S, Follower
from comporta.cli.names import Names
from comporta.cli.screen import Column, Instant, Row
from comporta.cli.views import event_cells, event_columns
from comporta.errors import ComportaError
from comporta.fleet.plan import Plan
from comporta.i18n import _
from comporta.ledger.port import EventFilter, EventRow
from comporta.urls import webhook_url

STOP_S = 5.0
DATA, PORT = Path("data"), 8001
"""The defaults of the settings, which need not be said."""


async def greet(desk: Desk) -> None:
    """Make a first instance if there is none, and say what to do next."""
    settings = desk.settings
    async with desk.local_stores() as stores:
        plan = await first_instance(stores, INSTANCE, desk.who)
    url = settings.shown_url
    if desk.screen.json:
        urls = [webhook_url(url, one.token) for one in plan.shown] if plan else []
        _object(desk, {"webhook_urls": urls, "health_url": f"{url}/health"})
        return
    lines = [f"Comporta {comporta.__version__}", "", *_webhook(plan, url)]
    if plan and not settings.public_url:
        lines.append(_("  (Chatwoot on another machine? Set COMPORTA_PUBLIC_URL to its way here.)"))
    lines += ["", _("Health:  {url}").format(url=f"{url}/health"), ""]
    lines.append(_("Try it without a Chatwoot, in another terminal:"))
    lines += [f"  {_surroundings(desk)}{_program()} simulate", ""]
    lines.append(_("Accepted events appear here. Ctrl-C ends the gateway."))
    desk.screen.say("\n".join(lines))


def _object(desk: Desk, data: Row) -> None:
    desk.screen.line([Column(key, "") for key in data], data)


def _webhook(plan: Plan | None, url: str) -> list[str]:
    if plan is None:
        lost = _("The webhook URLs given to your instances stay as they are. {hint}")
        return [lost.format(hint=new_token_hint().replace("comporta ", f"{_program()} ", 1))]
    head = _("Paste this webhook URL into Chatwoot (Settings → Integrations → Webhooks).")
    once = _("It is shown only now:")
    return [f"{head} {once}", *(f"  {webhook_url(url, one.token)}" for one in plan.shown)]


def _program() -> str:
    """How this program was called, for the commands that it proposes."""
    called = Path(sys.argv[0])
    return sys.argv[0] if called.name == "comporta" else "comporta"


def _surroundings(desk: Desk) -> str:
    """What another terminal has to be told so that it means the same gateway."""
    settings = desk.settings
    words = ""
    if settings.data != DATA:
        words += f"COMPORTA_DATA={shlex.quote(str(settings.data))} "
    if settings.port != PORT:
        words += f"COMPORTA_PORT={settings.port} "
    return words


@contextmanager
def watching(desk: Desk) -> Iterator[None]:
    """Show accepted events meanwhile."""
    stop = threading.Event()
    # A thread, because uvicorn keeps the main one, and its own loop, to itself.
    thread = threading.Thread(target=_watch, args=(desk, stop), name="welcome", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_S)


def _watch(desk: Desk, stop: threading.Event) -> None:
    start_ms = desk.now_ms()
    while not stop.is_set():
        try:
            asyncio.run(_show_events(desk, stop, start_ms))
        except (ComportaError, TimeoutError) as error:
            words = _("Events cannot be shown right now: {reason}")
            desk.screen.note(words.format(reason=str(error) or _("no answer")))
            stop.wait(STOP_S)
            start_ms = desk.now_ms()


async def _show_events(desk: Desk, stop: threading.Event, start_ms: int) -> None:
    async with desk.local_stores() as stores:
        follower = Follower(stores.ledger, EventFilter(since_ms=start_ms))
        while not stop.is_set():
            async with deadline():
                rows = await follower.fresh()
                names = Names(await stores.ledger.fleet()) if rows else None
            for row in rows:
                if names is not None:
                    _show(desk, row, names)
            await asyncio.sleep(POLL_S)


def _show(desk: Desk, row: EventRow, names: Names) -> None:
    if desk.screen.json:
        desk.screen.line(event_columns(), event_cells(row, names))
        return
    short = [Column(key, "") for key in ("at", "instance", "event_type", "subject")]
    at = Instant(row.accepted_at_ms).local().partition(" ")[2]
    desk.screen.line(short, {**event_cells(row, names), "at": at})
