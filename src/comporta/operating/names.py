"""Between names, which people use, and ids, which the ledger uses. Pure."""

import re

from comporta.domain.fleet import Fleet
from comporta.errors import NotFoundError
from comporta.fleet.named import find
from comporta.i18n import _

_ID = re.compile(r"(ins|dst|rte)_[0-9a-z]{10}")


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
        """The id of a named instance; None for None. An id is taken as it is, for what is gone.

        Raises:
            NotFoundError: there is none of that name.
        """
        if name is None or (name not in self._instances.values() and _ID.fullmatch(name)):
            return name
        return find("instance", name, self._fleet.instances).id

    def destination_id(self, name: str | None) -> str | None:
        """The id of a named destination; None for None. An id is taken as it is.

        Raises:
            NotFoundError: there is none of that name.
        """
        if name is None or (name not in self._destinations.values() and _ID.fullmatch(name)):
            return name
        return find("destination", name, self._fleet.destinations).id

    def route_id(self, name: str | None) -> str | None:
        """The id of a named route; None for None. An id is taken as it is.

        Raises:
            NotFoundError: there is none of that name.
        """
        if name is None or (name not in self._routes.values() and _ID.fullmatch(name)):
            return name
        return find("route", name, self._fleet.routes).id

    def target_id(self, name: str | None) -> str | None:
        """The id of a destination to deliver to, which must be in the fleet; None for None.

        Raises:
            NotFoundError: it is not.
        """
        found = self.destination_id(name)
        if found is not None and found not in self._destinations:
            raise NotFoundError(_('There is no destination "{name}".').format(name=name))
        return found
