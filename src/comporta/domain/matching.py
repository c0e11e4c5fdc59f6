"""Which destinations an event is for: the routes, compiled once for a version of the fleet.

Names and globs of a route are settled once for each (instance, event type) and remembered; what is
left for an event are the conditions of `where`, if any route has one at all.
"""

import traceback
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import msgspec

from comporta.domain.conditions import Holds, compile_where
from comporta.domain.event import Fields
from comporta.domain.fleet import Fleet, Route

COMBINATIONS_MAX = 10_000
"""Remembered pairs of instance and event type; beyond that they are settled each time."""
ERROR_BYTES_MAX = 20_000
"""Of the traceback that a failed matcher leaves; its end is kept, which says what happened."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """A destination, and the route that chose it."""

    route_id: str
    destination_id: str
    error: str = ""
    """The traceback, where the route's conditions failed on this event: nobody knows whether it
    is for this destination, so it is to be kept as a dead letter and not sent. At most
    `ERROR_BYTES_MAX` bytes of UTF-8."""


class _Rule(msgspec.Struct, frozen=True):
    where: tuple[Holds, ...]
    choices: tuple[Choice, ...]


class RouteTable:
    """The routes of one version of the fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._names = {instance.id: instance.name for instance in fleet.instances}
        ids = {destination.name: destination.id for destination in fleet.destinations}
        self._routes = [(route, _rule(route, ids)) for route in fleet.routes]
        self._known: dict[tuple[str, str], tuple[_Rule, ...]] = {}

    def choose(
        self, instance_id: str, event_type: str, fields: Callable[[], Fields]
    ) -> tuple[Choice, ...]:
        """The destinations of an event, each once, in the order of the routes.

        Conditions that raise are a defect, and stop neither the event nor the other routes: the
        route's destinations come with an `error`, but for those that another route chooses.

        Args:
            instance_id: of the event.
            event_type: of the event.
            fields: reads the event's fields; called once at most, unless it raises, and only if a
                route asks.
        """
        seen: Fields | None = None
        chosen: dict[str, Choice] = {}
        for rule in self._rules(instance_id, event_type):
            choices = rule.choices
            try:
                if rule.where:
                    if seen is None:
                        seen = fields()
                    if not all(holds(seen) for holds in rule.where):
                        continue
            except Exception:  # noqa: BLE001  (recorded with the delivery, see Choice.error)
                choices = _failed(choices)
            for choice in choices:
                before = chosen.get(choice.destination_id)
                if before is None or (before.error and not choice.error):
                    chosen[choice.destination_id] = choice
        return tuple(chosen.values())

    def _rules(self, instance_id: str, event_type: str) -> tuple[_Rule, ...]:
        key = (instance_id, event_type)
        rules = self._known.get(key)
        if rules is None:
            name = self._names.get(instance_id, "")
            rules = tuple(
                rule
                for route, rule in self._routes
                if any_fits(route.instances, name) and any_fits(route.events, event_type)
            )
            if len(self._known) < COMBINATIONS_MAX:
                self._known[key] = rules
        return rules


def any_fits(globs: tuple[str, ...], name: str) -> bool:
    """Whether one of the names or patterns (`*`, `?`) stands for this name."""
    return any(fnmatchcase(name, glob) for glob in globs)


def _rule(route: Route, ids: Mapping[str, str]) -> _Rule:
    where = tuple(condition.holds for condition in compile_where(route.where))
    return _Rule(where, tuple(Choice(route.id, ids[name]) for name in route.to if name in ids))


def _failed(choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """The same, with the traceback of the exception that is being handled."""
    said = traceback.format_exc().encode(errors="replace")[-ERROR_BYTES_MAX:]
    error = said.decode(errors="ignore")
    return tuple(msgspec.structs.replace(choice, error=error) for choice in choices)
