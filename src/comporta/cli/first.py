"""`comporta init`: the data folder, its key, and the first instance with its webhook URL."""

from typing import Annotated

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, LocalStores
from comporta.cli.planned import show_done, show_plan
from comporta.domain.fleet import SourceKind
from comporta.fleet.plan import Plan
from comporta.i18n import _

INSTANCE = "chatwoot"
SOURCE = "account"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(init)


async def init(
    desk: Desk,
    *,
    name: Annotated[
        str, typer.Argument(metavar="[INSTANCE]", help=_("The first instance's name."))
    ] = INSTANCE,
) -> None:
    """Create the data folder and a first instance.

    Its webhook URL is shown once. Where there are instances, nothing is changed.
    """
    make_folder(desk)
    async with desk.local_stores() as stores:
        plan = await first_instance(stores, name, desk.who)
    if plan is None:
        there = _("There are instances already, nothing was changed. {hint}")
        said = there.format(hint=new_token_hint())
        desk.screen.result({"applied": False, "changes": [], "tokens": [], "warnings": []}, said)
        return
    show_plan(desk.screen, plan)
    show_done(desk, plan)
    desk.screen.note(_("Start the gateway: comporta serve"))


def make_folder(desk: Desk) -> None:
    """The data folder, for nobody but its owner."""
    desk.settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)


async def first_instance(stores: LocalStores, name: str, who: str) -> Plan | None:
    """Make an instance with a source if there is no instance; None if there is one."""
    if (await stores.fleet.read()).instances:
        return None
    added = await stores.fleet.add_instance(name, "", who)
    source = await stores.fleet.add_source(name, SOURCE, SourceKind.ACCOUNT, who)
    return Plan((*added.changes, *source.changes), source.fleet, source.shown, source.warnings)


def new_token_hint() -> str:
    """What to do when a webhook URL is lost: it is not kept, so it cannot be shown again."""
    return _("A new webhook URL for a source: comporta source token add INSTANCE/SOURCE")
