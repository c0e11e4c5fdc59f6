"""The fleet as dispatch sees it: compiled routes, opened endpoints, names. One for each version."""

from collections.abc import Callable

import msgspec

from comporta.destinations.http import Endpoint
from comporta.destinations.signing import key_of
from comporta.domain.fleet import Destination, Fleet, Secret
from comporta.domain.matching import RouteTable


class Outbound(msgspec.Struct, frozen=True):
    """A destination, ready for use."""

    destination: Destination
    endpoint: Endpoint


class Routing(msgspec.Struct, frozen=True):
    """One version of the fleet, compiled for dispatch."""

    version: int
    routes: RouteTable
    outbound: dict[str, Outbound]
    """Destination id → what to do with it."""
    instances: dict[str, str]
    """Instance id → name."""


def compile_routing(fleet: Fleet, open_secret: Callable[[Secret], str]) -> Routing:
    """Compile a fleet. `open_secret` unseals."""
    outbound = {}
    for destination in fleet.destinations:
        key = key_of(open_secret(destination.secret)) if destination.secret else None
        endpoint = Endpoint(destination.url, destination.timeout_s, key)
        outbound[destination.id] = Outbound(destination, endpoint)
    names = {instance.id: instance.name for instance in fleet.instances}
    return Routing(fleet.version, RouteTable(fleet), outbound, names)
