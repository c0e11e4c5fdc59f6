"""Simulated Chatwoots in the local fleet: an instance each, with a new source, until the end.

Routes are left alone, so a person is asked first where one leads their events to a destination.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase

from msgspec.structs import replace

from comporta.cli.desk import Desk, LocalStores, deadline
from comporta.domain.fleet import Fleet
from comporta.errors import ComportaError
from comporta.i18n import _
from comporta.testing.simulation import SimulatedChatwoot
from comporta.urls import webhook_url
from comporta.vault import new_token

PREFIX, SOURCE = "sim-", "simulated"
FLEET_LIVE_S = 1.5
"""A change of the fleet is live in all workers within a second."""
TAKEN_OVER_S = 15.0
"""How long to wait for dispatch at the end, which must know an instance to route its events."""
_POLL_S = 0.1


@asynccontextmanager
async def enrolled(
    desk: Desk, chatwoots: tuple[SimulatedChatwoot, ...], *, yes: bool
) -> AsyncIterator[tuple[SimulatedChatwoot, ...]]:
    """The same Chatwoots, with webhook URLs and secrets that the running gateway knows.

    Raises:
        ComportaError: no gateway runs here.
        RefusedError: the person does not want it.
    """
    host = desk.settings.host if desk.settings.host not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104
    await _is_there(host, desk.settings.port)
    base = f"http://{host}:{desk.settings.port}"
    async with desk.local_stores() as stores:
        _ask_about_routes(desk, await stores.fleet.read(), yes=yes)
        try:
            known = tuple([await _enrol(desk, stores, one, base) for one in chatwoots])
            await asyncio.sleep(FLEET_LIVE_S)
            yield known
        finally:
            await _take_away(desk, stores, [one.name for one in chatwoots])


def _ask_about_routes(desk: Desk, fleet: Fleet, *, yes: bool) -> None:
    """Simulated events must not surprise a CRM. A route that says `sim-…` was meant for them."""
    leading = [
        route.name
        for route in fleet.routes
        if any(
            fnmatchcase(f"{PREFIX}1", glob) and not glob.startswith(PREFIX)
            for glob in route.instances
        )
    ]
    if leading:
        said = _("These routes lead simulated events to real destinations: {routes}. Go on?")
        desk.confirm(said.format(routes=", ".join(leading[:10])), yes=yes)


async def _enrol(
    desk: Desk, stores: LocalStores, chatwoot: SimulatedChatwoot, base: str
) -> SimulatedChatwoot:
    name, token, secret = chatwoot.name, new_token(), secrets.token_urlsafe(24)
    there = {one.name: one for one in (await stores.fleet.read()).instances}
    if name not in there:
        await stores.fleet.add_instance(name, "", desk.who)
    elif any(source.name == SOURCE for source in there[name].sources):
        await stores.fleet.remove_source(name, SOURCE, desk.who)
    given = [secret] if chatwoot.signed else []
    await stores.fleet.add_source(
        *(name, SOURCE, chatwoot.kind, desk.who), token=token, secrets=given
    )
    return replace(chatwoot, webhook_url=webhook_url(base, token), secret=secret)


async def _take_away(desk: Desk, stores: LocalStores, names: list[str]) -> None:
    """Remove the sources that were made, and the instances that have no other."""
    if not await _is_taken_over(stores):
        said = _("Events still wait to be dispatched, so {names} stay in the fleet.")
        desk.screen.note(said.format(names=f"{names[0]} … {names[-1]}"))
        return
    await asyncio.sleep(FLEET_LIVE_S)  # whoever follows the events still sees their names
    fleet = await stores.fleet.read()
    named = {name for route in fleet.routes for name in route.instances}
    for instance in fleet.instances:
        sources = {source.name for source in instance.sources}
        if instance.name not in names or SOURCE not in sources:
            continue
        if sources == {SOURCE} and instance.name not in named:
            await stores.fleet.remove_instance(instance.name, desk.who)
        else:
            await stores.fleet.remove_source(instance.name, SOURCE, desk.who)


async def _is_taken_over(stores: LocalStores) -> bool:
    """Whether dispatch has routed all that was accepted, waiting for it a little."""
    try:
        async with deadline(TAKEN_OVER_S):
            while await stores.log.lag():
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        return False
    return True


async def _is_there(host: str, port: int) -> None:
    """Fail early and in words if no gateway listens.

    Raises:
        ComportaError: nobody does.
    """
    try:
        async with deadline(5):
            _reader, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except OSError:
        said = _("No gateway listens at {host}:{port}. Start it: comporta serve")
        raise ComportaError(said.format(host=host, port=port)) from None
