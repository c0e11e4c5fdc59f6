"""Why an event is for a route, or the first reason why not: data, for others to put into words.

It asks the same compiled conditions as `matching`, one by one, in the order in which they stand.
Pure.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from comporta.domain.conditions import Condition, Found, compile_where
from comporta.domain.event import Fields
from comporta.domain.fleet import Route, Scalar
from comporta.domain.matching import any_fits


class Part(StrEnum):
    """What of a route an event can miss."""

    INSTANCES = "instances"
    EVENTS = "events"
    WHERE = "where"


class Miss(msgspec.Struct, frozen=True):
    """The first thing in a route that an event does not fit."""

    part: Part
    condition: str
    """The condition's key, as in `where`; "" for the other parts."""
    wanted: tuple[Scalar, ...]
    found: Found
    """What the event has there; None: nothing."""


class Verdict(msgspec.Struct, frozen=True):
    """One route and one event."""

    route: Route
    miss: Miss | None = None
    """None: the event fits, unless there is an `error`."""
    error: str = ""
    """What the condition raised that failed on this event; its destinations get a dead letter."""

    @property
    def fits(self) -> bool:
        """Whether the event goes to the destinations of this route."""
        return self.miss is None and not self.error


def explain(route: Route, instance: str, event_type: str, fields: Callable[[], Fields]) -> Verdict:
    """Whether an event is for a route, and why not.

    Args:
        route: the route.
        instance: the name of the event's instance.
        event_type: of the event.
        fields: reads the event's fields; only called if the route asks for them.
    """
    for part, globs, name in (
        (Part.INSTANCES, route.instances, instance),
        (Part.EVENTS, route.events, event_type),
    ):
        if not any_fits(globs, name):
            return Verdict(route, Miss(part, "", globs, name))
    if not route.where:
        return Verdict(route)
    try:
        seen = fields()
    except Exception as error:  # noqa: BLE001  (as below)
        return Verdict(route, error=f"{type(error).__name__}: {error}")
    for condition in compile_where(route.where):
        if verdict := _asked(route, condition, seen):
            return verdict
    return Verdict(route)


def _asked(route: Route, condition: Condition, fields: Fields) -> Verdict | None:
    """None: it holds."""
    try:
        if condition.holds(fields):
            return None
    except Exception as error:  # noqa: BLE001  (told: dispatch makes a dead letter of it)
        return Verdict(route, error=f"{condition.key}: {type(error).__name__}: {error}")
    miss = Miss(Part.WHERE, condition.key, condition.wanted, condition.read(fields))
    return Verdict(route, miss)
