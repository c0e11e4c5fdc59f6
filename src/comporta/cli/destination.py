"""`comporta destination …`: where deliveries go."""

from typing import Annotated

import typer

from comporta.cli.command import command, group
from comporta.cli.desk import Desk
from comporta.cli.planned import carried_out
from comporta.cli.screen import Column
from comporta.cli.selection import Yes
from comporta.domain.backoff import DEFAULT_WAITS_S
from comporta.domain.fleet import Destination
from comporta.fleet.named import find
from comporta.i18n import _
from comporta.urls import masked_url

Name = Annotated[str, typer.Argument(metavar="DESTINATION", help=_("The destination's name."))]
TIMEOUT_S = 10.0


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    destinations = group("destination", _("Destinations: where deliveries go."))
    command(destinations, "list")(list_)
    for one in (add, show, remove, enable, disable):
        command(destinations)(one)
    app.add_typer(destinations)


async def list_(desk: Desk) -> None:
    """List the destinations."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    columns = (
        Column("name", _("DESTINATION")),
        Column("url", _("URL")),
        Column("signed", _("SIGNED")),
        Column("timeout_s", _("TIMEOUT S"), right=True),
        Column("retry", _("RETRY S")),
        Column("disabled", _("DISABLED")),
        Column("managed", _("KEPT BY")),
        Column("id", _("ID")),
    )
    empty = _("No destinations. Add one: comporta destination add NAME URL")
    desk.screen.table(columns, [_data(one) for one in fleet.destinations], empty=empty)


async def add(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help=_("Where to POST."))],
    secret: Annotated[
        str | None,
        typer.Option(metavar="SECRET", help=_("Sign with it: whsec_…, env:NAME or file:PATH.")),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", help=_("Seconds for a whole attempt."))
    ] = TIMEOUT_S,
    retry: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help=_("Waits before attempts 2, 3, …: 5,30,300")),
    ] = None,
) -> None:
    """Add a destination. Next, lead events to it: `comporta route add`."""
    waits = _waits(retry) if retry is not None else DEFAULT_WAITS_S
    async with desk.stores() as stores:
        plan = await stores.fleet.add_destination(
            name, url, desk.who, secret=secret, timeout_s=timeout_s, retry=waits
        )
    carried_out(desk, plan)


async def show(desk: Desk, *, name: Name) -> None:
    """Show a destination."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    data = _data(find("destination", name, fleet.destinations))
    titles = {
        "name": _("Destination"),
        "id": _("Id"),
        "url": _("URL"),
        "signed": _("Signed"),
        "timeout_s": _("Timeout (s)"),
        "retry": _("Retry after (s)"),
        "disabled": _("Disabled"),
        "managed": _("Kept by"),
    }
    desk.screen.record([(key, title, data[key]) for key, title in titles.items()])


async def remove(desk: Desk, *, name: Name, yes: Yes = False) -> None:
    """Remove a destination. Not possible while a route leads to it."""
    async with desk.stores() as stores:
        desk.confirm(_("Remove the destination {name}?").format(name=name), yes=yes)
        plan = await stores.fleet.remove_destination(name, desk.who)
    carried_out(desk, plan)


async def enable(desk: Desk, *, name: Name) -> None:
    """Deliver to a destination again, after it was disabled or answered 410 Gone."""
    async with desk.stores() as stores:
        plan = await stores.fleet.enable_destination(name, desk.who)
    carried_out(desk, plan)


async def disable(
    desk: Desk,
    *,
    name: Name,
    reason: Annotated[str, typer.Option(help=_("Why, for whoever looks at it."))] = "",
) -> None:
    """Deliver nothing to a destination until it is enabled; what is owed to it waits."""
    async with desk.stores() as stores:
        plan = await stores.fleet.disable_destination(name, reason, desk.who)
    carried_out(desk, plan)


def _waits(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        message = _("{text!r} is not a list of seconds, as in 5,30,300").format(text=text)
        raise typer.BadParameter(message) from None


def _data(one: Destination) -> dict[str, object]:
    return {
        "name": one.name,
        "id": one.id,
        "url": masked_url(one.url),
        "signed": one.secret is not None,
        "timeout_s": one.timeout_s,
        "retry": list(one.retry),
        "disabled": one.disabled,
        "managed": one.managed,
    }
