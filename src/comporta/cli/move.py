"""`comporta move`: what waits in one engine goes into another, before the gateway uses that one."""

from typing import TYPE_CHECKING, Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.progress import bar
from comporta.cli.selection import Yes
from comporta.engines import Store
from comporta.errors import ConflictError
from comporta.i18n import _, plural
from comporta.operating.moving import check_alone, move_log
from comporta.urls import masked_url

if TYPE_CHECKING:
    from comporta.ledger.copying import Copied


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(move)


From = Annotated[str, typer.Option("--from", metavar="URL", help=_("The engine to empty."))]
To = Annotated[str, typer.Option("--to", metavar="URL", help=_("The engine to fill."))]


async def move(desk: Desk, *, source: From, target: To, yes: Yes = False) -> None:
    """Move what one engine holds into another.

    Events that wait in a log, or a whole ledger. Stop the gateway first, and start it with the new
    URL afterwards. A log is emptied; a ledger is copied, and the old one stays as it is. Begin a
    move that was interrupted again: nothing is lost or doubled.
    """
    from comporta.stores import store_of  # noqa: PLC0415  (brings in the engines)

    store = store_of(source, target)
    async with desk.local_stores() as stores:
        await check_alone(len(await stores.state.workers(desk.now_ms(), desk.settings.lease_s)))
    names = {"source": masked_url(source), "target": masked_url(target)}
    question = _("Move the {store} from {source} to {target}?")
    desk.confirm(question.format(store=store, **names), yes=yes)
    if store is Store.LOG:
        await _move_log(desk, source, target)
    else:
        await _copy_ledger(desk, source, target)
