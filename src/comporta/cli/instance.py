"""`comporta instance …`: the Chatwoot installations."""

from typing import Annotated

import typer

from comporta.cli.command import command, group
from comporta.cli.desk import Desk
from comporta.cli.planned import carried_out
from comporta.cli.screen import Column
from comporta.cli.selection import Yes
from comporta.cli.source import source_data
from comporta.domain.fleet import Instance
from comporta.fleet.named import find
from comporta.i18n import _
from comporta.urls import masked_url

Name = Annotated[str, typer.Argument(metavar="INSTANCE", help=_("The instance's name."))]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    instances = group("instance", _("Instances: the Chatwoot installations."))
    command(instances, "list")(list_)
    command(instances)(add)
    command(instances)(show)
    command(instances)(remove)
    app.add_typer(instances)


async def list_(desk: Desk) -> None:
    """List the instances."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    columns = (
        Column("name", _("INSTANCE")),
        Column("url", _("URL")),
        Column("sources", _("SOURCES")),
        Column("id", _("ID")),
    )
    rows = [
        {**_data(one), "sources": [source.name for source in one.sources]}
        for one in fleet.instances
    ]
    desk.screen.table(columns, rows, empty=_("No instances. Add one: comporta instance add NAME"))


async def add(
    desk: Desk,
    *,
    name: Name,
    url: Annotated[str, typer.Option(help=_("Where this Chatwoot is, for people."))] = "",
) -> None:
    """Add an instance. Next, give it a source: `comporta source add INSTANCE/SOURCE`."""
    async with desk.stores() as stores:
        plan = await stores.fleet.add_instance(name, url, desk.who)
    carried_out(desk, plan)


async def show(desk: Desk, *, name: Name) -> None:
    """Show an instance with its sources."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    one = find("instance", name, fleet.instances)
    sources = [source_data(one.name, source) for source in one.sources]
    desk.screen.record(
        (
            ("name", _("Instance"), one.name),
            ("id", _("Id"), one.id),
            ("url", _("URL"), masked_url(one.url)),
            ("sources", _("Sources"), sources if desk.screen.json else _names(one)),
        )
    )


async def remove(desk: Desk, *, name: Name, yes: Yes = False) -> None:
    """Remove an instance with its sources: their webhook URLs stop working."""
    async with desk.stores() as stores:
        one = find("instance", name, (await stores.fleet.read()).instances)
        question = _("Remove {name} with {count} sources? Their webhook URLs stop working.")
        desk.confirm(question.format(name=name, count=len(one.sources)), yes=yes)
        plan = await stores.fleet.remove_instance(name, desk.who)
    carried_out(desk, plan)


def _data(one: Instance) -> dict[str, object]:
    return {"name": one.name, "id": one.id, "url": masked_url(one.url)}


def _names(one: Instance) -> list[str]:
    return [f"{source.name} ({source.kind.value})" for source in one.sources]
