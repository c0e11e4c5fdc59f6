"""`comporta route …`: which events go where."""

from typing import Annotated

import typer

from comporta.cli.command import command, group
from comporta.cli.desk import Desk
from comporta.cli.planned import carried_out
from comporta.cli.route_trial import trial
from comporta.cli.screen import Column
from comporta.cli.selection import Yes
from comporta.cli.wheres import where_of
from comporta.domain.fleet import Route
from comporta.fleet.named import find
from comporta.i18n import _

Name = Annotated[str, typer.Argument(metavar="ROUTE", help=_("The route's name."))]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    routes = group("route", _("Routes: which events go to which destinations."))
    command(routes, "list")(list_)
    command(routes, "test")(trial)
    for one in (add, show, remove):
        command(routes)(one)
    app.add_typer(routes)


async def list_(desk: Desk) -> None:
    """List the routes."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    columns = (
        Column("name", _("ROUTE")),
        Column("instances", _("INSTANCES")),
        Column("events", _("EVENTS")),
        Column("where", _("WHERE")),
        Column("to", _("TO")),
        Column("id", _("ID")),
    )
    rows = [_data(one) for one in fleet.routes]
    desk.screen.table(columns, rows, empty=_("No routes. Add one: comporta route add NAME --to …"))


async def add(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    name: Name,
    to: Annotated[
        list[str], typer.Option(metavar="DESTINATION", help=_("A destination. Repeatable."))
    ],
    instance: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help=_("A name or pattern; all if none. Repeatable.")),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help=_("An event type or pattern; all if none.")),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help=_("Only such events: inbox_id=12, labels.any=vip, not.private=true. Repeatable."),
        ),
    ] = None,
) -> None:
    """Lead events to destinations, from now on."""
    async with desk.stores() as stores:
        plan = await stores.fleet.add_route(
            name,
            to,
            desk.who,
            instances=instance or ("*",),
            events=event or ("*",),
            where=where_of(where or ()),
        )
    carried_out(desk, plan)


async def show(desk: Desk, *, name: Name) -> None:
    """Show a route."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    data = _data(find("route", name, fleet.routes))
    titles = {
        "name": _("Route"),
        "id": _("Id"),
        "instances": _("Instances"),
        "events": _("Events"),
        "where": _("Where"),
        "to": _("To"),
    }
    desk.screen.record([(key, title, data[key]) for key, title in titles.items()])


async def remove(desk: Desk, *, name: Name, yes: Yes = False) -> None:
    """Remove a route. Deliveries that it made already are still made."""
    async with desk.stores() as stores:
        desk.confirm(_("Remove the route {name}?").format(name=name), yes=yes)
        plan = await stores.fleet.remove_route(name, desk.who)
    carried_out(desk, plan)


def _data(one: Route) -> dict[str, object]:
    return {
        "name": one.name,
        "id": one.id,
        "instances": list(one.instances),
        "events": list(one.events),
        "where": {field: list(values) for field, values in one.where.items()},
        "to": list(one.to),
    }
