"""Between names, which people use, and ids, which the ledger uses. Pure."""

import typer

from comporta.cli.screen import Instant
from comporta.domain import ids
from comporta.domain.fleet import Fleet
from comporta.fleet.named import find
from comporta.i18n import _


class Names:
    """Looks names and ids of one fleet up. A thing that was removed is shown by its id."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._instances = {one.id: one.name for one in fleet.instances}
        self._destinations = {one.id: one.name for one in fleet.destinations}
        self._routes = {one.id: one.name for one in fleet.routes}
        self._sources = {
            source.id: f"{one.name}/{source.name}"
            for one in fleet.instances
            for source in one.sources
        }

    def instance(self, instance_id: str) -> str:
        """The name behind an instance's id."""
        return self._instances.get(instance_id, instance_id)

    def destination(self, destination_id: str) -> str:
        """The name behind a destination's id."""
        return self._destinations.get(destination_id, destination_id)

    def route(self, route_id: str) -> str:
        """The name behind a route's id."""
        return self._routes.get(route_id, route_id)

    def source(self, source_id: str) -> str:
        """`instance/source` behind a source's id."""
        return self._sources.get(source_id, source_id)

    def instance_id(self, name: str | None) -> str | None:
        """The id of a named instance; None for None.

        Raises:
            NotFoundError: there is none of that name.
        """
        return None if name is None else find("instance", name, self._fleet.instances).id

    def destination_id(self, name: str | None) -> str | None:
        """The id of a named destination; None for None.

        Raises:
            NotFoundError: there is none of that name.
        """
        return None if name is None else find("destination", name, self._fleet.destinations).id

    def route_id(self, name: str | None) -> str | None:
        """The id of a named route; None for None.

        Raises:
            NotFoundError: there is none of that name.
        """
        return None if name is None else find("route", name, self._fleet.routes).id


def number(prefix: str, text: str) -> int:
    """The number behind an id that a person typed.

    Raises:
        typer.BadParameter: it is not such an id.
    """
    try:
        return ids.parse(prefix, text)
    except ValueError:
        message = _(
            "{text!r} is not an id of the form {prefix}_ and 13 characters. Copy it from `{where}`."
        )
        where = {"evt": "comporta events", "dlv": "comporta deliveries"}[prefix]
        raise typer.BadParameter(message.format(text=text, prefix=prefix, where=where)) from None


def made_at(event_or_delivery: int) -> Instant:
    """When an event or a delivery got its id."""
    return Instant(ids.millis_of(event_or_delivery))
