"""Which destinations an event is for: the routes, compiled once for a version of the fleet.

Names and globs of a route are settled once for each (instance, event type) and remembered; what is
left for an event is to compare the few fields that `where` asks for, if any route asks at all.
"""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import msgspec

from comporta.domain.event import Fields
from comporta.domain.fleet import Fleet, Route, Scalar

COMBINATIONS_MAX = 10_000
"""Remembered pairs of instance and event type; beyond that they are settled each time."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """A destination, and the route that chose it."""

    route_id: str
    destination_id: str


class _Rule(msgspec.Struct, frozen=True):
    where: tuple[tuple[str, frozenset[tuple[type, Scalar]]], ...]
    choices: tuple[Choice, ...]

    def fits(self, fields: Fields) -> bool:
        for name, allowed in self.where:
            value = getattr(fields, name)
            # With its type: in Python True equals 1, in JSON it does not.
            if (type(value), value) not in allowed:
                return False
        return True


class RouteTable:
    """The routes of one version of the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._names = {instance.id: instance.name for instance in fleet.instances}
        self._ids = {destination.name: destination.id for destination in fleet.destinations}
        self._routes = fleet.routes
        self._known: dict[tuple[str, str], tuple[_Rule, ...]] = {}

    def choose(
        self, instance_id: str, event_type: str, fields: Callable[[], Fields]
    ) -> tuple[Choice, ...]:
        """The destinations of an event, each once, in the order of the routes.

        Args:
            instance_id: of the event.
            event_type: of the event.
            fields: reads the event's fields; called once at most, and only if a route asks.
        """
        rules = self._rules(instance_id, event_type)
        if not rules:
            return ()
        seen: Fields | None = None
        chosen: dict[str, Choice] = {}
        for rule in rules:
            if rule.where:
                if seen is None:
                    seen = fields()
                if not rule.fits(seen):
                    continue
            for choice in rule.choices:
                chosen.setdefault(choice.destination_id, choice)
        return tuple(chosen.values())

    def _rules(self, instance_id: str, event_type: str) -> tuple[_Rule, ...]:
        key = (instance_id, event_type)
        rules = self._known.get(key)
        if rules is None:
            name = self._names.get(instance_id, "")
            rules = tuple(
                _rule(route, self._ids)
                for route in self._routes
                if _any_fits(route.instances, name) and _any_fits(route.events, event_type)
            )
            if len(self._known) < COMBINATIONS_MAX:
                self._known[key] = rules
        return rules


def _any_fits(globs: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _rule(route: Route, ids: Mapping[str, str]) -> _Rule:
    where = tuple(
        (name, frozenset((type(value), value) for value in values))
        for name, values in route.where.items()
    )
    return _Rule(where, tuple(Choice(route.id, ids[name]) for name in route.to if name in ids))
