"""`comporta destination …`: where deliveries go, shown, added, changed and removed."""

import typer

from comporta.cli import destination_test, pausing
from comporta.cli.command import command, group
from comporta.cli.desk import Desk
from comporta.cli.destination_options import (
    Burst,
    Class,
    Concurrency,
    Format,
    Header,
    InstanceConcurrency,
    Name,
    NewUrl,
    Park,
    Rate,
    Retry,
    Secret,
    Timeout,
    Transform,
    Url,
    options_of,
)
from comporta.cli.planned import carried_out
from comporta.cli.screen import Column, Word, instant
from comporta.cli.selection import Yes
from comporta.domain.breaker import CLOSED, Breaker, BreakerState
from comporta.domain.fleet import Destination
from comporta.domain.rate import show_rate
from comporta.fleet.named import find
from comporta.i18n import _
from comporta.urls import masked_url


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    destinations = group("destination", _("Destinations: where deliveries go."))
    command(destinations, "list")(list_)
    command(destinations, "set")(set_)
    for one in (add, show, remove):
        command(destinations)(one)
    pausing.add_to(destinations)
    destination_test.add_to(destinations)
    app.add_typer(destinations)


async def list_(desk: Desk) -> None:
    """List the destinations."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
    columns = (
        Column("name", _("DESTINATION")),
        Column("url", _("URL")),
        Column("signed", _("SIGNED")),
        Column("rate", _("RATE")),
        Column("format", _("FORMAT")),
        Column("paused", _("PAUSED")),
        Column("managed", _("KEPT BY")),
        Column("id", _("ID")),
    )
    empty = _("No destinations. Add one: comporta destination add NAME URL")
    desk.screen.table(columns, [_data(one) for one in fleet.destinations], empty=empty)


async def add(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    name: Name,
    url: Url,
    secret: Secret = None,
    timeout_s: Timeout = None,
    retry: Retry = None,
    rate: Rate = None,
    burst: Burst = None,
    concurrency: Concurrency = None,
    instance_concurrency: InstanceConcurrency = None,
    park_s: Park = None,
    classes: Class = None,
    format_: Format = None,
    transform: Transform = None,
    headers: Header = None,
) -> None:
    """Add a destination. Next, lead events to it: `comporta route add`."""
    options = options_of(
        secret=secret,
        timeout_s=timeout_s,
        retry=retry,
        rate=rate,
        burst=burst,
        concurrency=concurrency,
        instance_concurrency=instance_concurrency,
        park_s=park_s,
        classes=classes,
        format=format_,
        transform=transform,
        headers=headers,
    )
    async with desk.stores() as stores:
        plan = await stores.fleet.add_destination(name, url, desk.who, **options)
    carried_out(desk, plan)


async def set_(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    name: Name,
    url: NewUrl = None,
    secret: Secret = None,
    timeout_s: Timeout = None,
    retry: Retry = None,
    rate: Rate = None,
    burst: Burst = None,
    concurrency: Concurrency = None,
    instance_concurrency: InstanceConcurrency = None,
    park_s: Park = None,
    classes: Class = None,
    format_: Format = None,
    transform: Transform = None,
    headers: Header = None,
) -> None:
    """Change what is given of a destination, and nothing else.

    `--rate none` and `--secret none` take these away, as `--header NAME=` and `--class PATTERN=`
    do with one header or class.
    """
    options = options_of(
        secret=secret,
        timeout_s=timeout_s,
        retry=retry,
        rate=rate,
        burst=burst,
        concurrency=concurrency,
        instance_concurrency=instance_concurrency,
        park_s=park_s,
        classes=classes,
        format=format_,
        transform=transform,
        headers=headers,
    )
    if url is None and not options:
        raise typer.BadParameter(_("Say what to change: at least one option."))
    async with desk.stores() as stores:
        plan = await stores.fleet.change_destination(name, desk.who, url=url, **options)
    carried_out(desk, plan)


async def show(desk: Desk, *, name: Name) -> None:
    """Show a destination."""
    async with desk.stores() as stores:
        fleet = await stores.fleet.read()
        breakers = await stores.state.breakers()
    one = find("destination", name, fleet.destinations)
    data = _data(one) | _breaker(breakers.get(one.id, CLOSED))
    titles = {
        "name": _("Destination"),
        "id": _("Id"),
        "url": _("URL"),
        "signed": _("Signed"),
        "timeout_s": _("Timeout (s)"),
        "retry": _("Retry after (s)"),
        "rate": _("Rate"),
        "burst": _("Burst"),
        "concurrency": _("Concurrency"),
        "instance_concurrency": _("Concurrency an instance"),
        "park_s": _("Parked at most (s)"),
        "classes": _("Classes"),
        "format": _("Format"),
        "transform": _("Transform"),
        "headers": _("Headers"),
        "paused": _("Paused"),
        "breaker": _("Circuit breaker"),
        "breaker_since": _("So since"),
        "breaker_until": _("Next probe at"),
        "breaker_reason": _("Last failure"),
        "managed": _("Kept by"),
    }
    desk.screen.record([(key, title, data[key]) for key, title in titles.items()])


async def remove(desk: Desk, *, name: Name, yes: Yes = False) -> None:
    """Remove a destination. Not possible while a route leads to it."""
    async with desk.stores() as stores:
        desk.confirm(_("Remove the destination {name}?").format(name=name), yes=yes)
        plan = await stores.fleet.remove_destination(name, desk.who)
    carried_out(desk, plan)


def _breaker(breaker: Breaker) -> dict[str, object]:
    known = breaker.state is not BreakerState.CLOSED
    opened = breaker.state is BreakerState.OPEN
    states = {
        BreakerState.CLOSED: _("closed"),
        BreakerState.OPEN: _("open: nothing is sent, everything waits"),
        BreakerState.HALF_OPEN: _("half-open: a few probes are out"),
    }
    return {
        "breaker": Word(breaker.state.value, states[breaker.state]),
        "breaker_since": instant(breaker.since_ms) if known else None,
        "breaker_until": instant(breaker.until_ms) if opened else None,
        "breaker_reason": breaker.reason or None,
    }


def _data(one: Destination) -> dict[str, object]:
    return {
        "name": one.name,
        "id": one.id,
        "url": masked_url(one.url),
        "signed": one.secret is not None,
        "timeout_s": one.timeout_s,
        "retry": list(one.retry),
        "rate": show_rate(one.rate) if one.rate else None,
        "burst": one.rate.burst if one.rate else None,
        "concurrency": one.concurrency or None,
        "instance_concurrency": one.instance_concurrency or None,
        "park_s": one.park_s,
        "classes": {pattern: chosen.value for pattern, chosen in one.classes.items()},
        "format": one.format.value,
        "transform": one.transform,
        "headers": list(one.headers),
        "paused": one.paused,
        "managed": one.managed,
    }
