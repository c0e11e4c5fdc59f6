"""The fleet as dispatch sees it: compiled routes, ways to the destinations, names.

One for each version of the fleet.
"""

from collections.abc import Awaitable, Callable

import msgspec

from comporta.destinations.http import HttpSender, open_endpoint
from comporta.domain.classes import EventClass, class_of
from comporta.domain.delivery import AttemptResult, Delivery, Patience
from comporta.domain.fleet import Destination, Fleet, Secret
from comporta.domain.matching import RouteTable
from comporta.urls import handler_of

Send = Callable[[Delivery, str], Awaitable[AttemptResult]]
"""One attempt at a delivery, given the name of its instance. It always has a result."""
RunHandler = Callable[[str, Delivery, str, float], Awaitable[AttemptResult]]
"""The same for the handler of a name, within so many seconds."""
COMBINATIONS_MAX = 10_000
"""Remembered pairs of destination and event type; beyond that they are settled each time."""


class Outbound(msgspec.Struct, frozen=True):
    """A destination, ready for use."""

    destination: Destination
    send: Send
    patience: Patience


class Routing:
    """One version of the fleet, compiled for dispatch.

    Args:
        fleet: that version.
        outbound: destination id → what to do with it.
    """

    def __init__(self, fleet: Fleet, outbound: dict[str, Outbound]) -> None:
        self.version = fleet.version
        self.routes = RouteTable(fleet)
        self.outbound = outbound
        self.instances = {instance.id: instance.name for instance in fleet.instances}
        """Instance id → name."""
        self._classes: dict[tuple[str, str], EventClass] = {}

    def class_of(self, destination_id: str, event_type: str) -> EventClass:
        """How an event of this type is treated on its way to this destination."""
        key = (destination_id, event_type)
        found = self._classes.get(key)
        if found is None:
            outbound = self.outbound.get(destination_id)
            found = class_of(event_type, outbound.destination.classes if outbound else {})
            if len(self._classes) < COMBINATIONS_MAX:
                self._classes[key] = found
        return found


def compile_routing(
    fleet: Fleet,
    open_secret: Callable[[Secret], str],
    sender: HttpSender,
    run_handler: RunHandler,
) -> Routing:
    """Compile a fleet.

    Args:
        fleet: what is compiled.
        open_secret: unseals.
        sender: makes attempts over HTTP.
        run_handler: makes attempts at handlers.
    """
    outbound = {}
    for destination in fleet.destinations:
        name = handler_of(destination.url)
        if name is None:
            send = _http(destination, open_secret, sender)
        else:
            send = _handler(destination, name, run_handler)
        patience = Patience(destination.retry, destination.park_s)
        outbound[destination.id] = Outbound(destination, send, patience)
    return Routing(fleet, outbound)


def _http(
    destination: Destination, open_secret: Callable[[Secret], str], sender: HttpSender
) -> Send:
    endpoint = open_endpoint(destination, open_secret)
    return lambda delivery, instance: sender.send(endpoint, delivery, instance)


def _handler(destination: Destination, name: str, run_handler: RunHandler) -> Send:
    timeout_s = destination.timeout_s
    return lambda delivery, instance: run_handler(name, delivery, instance, timeout_s)
