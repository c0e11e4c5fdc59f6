"""The part of a fleet that a program keeps, not a person: destinations and routes of handlers.

Fleet files and exports leave it alone. Pure.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from comporta.domain.fleet import Destination, Fleet, Route
from comporta.domain.ids import fresh
from comporta.errors import FleetError
from comporta.fleet.details import destination_detail, route_detail
from comporta.fleet.plan import Change, Plan
from comporta.i18n import _

Pair = tuple[Destination, Route]
"""What one handler comes to: a destination and the route to it, of one name."""


def enrol(fleet: Fleet, wanted: Sequence[Pair], manager: str, gone: str) -> Plan:
    """Make the managed part what is wanted.

    What is no longer wanted loses its route. Its destination stays, paused, for it may be owed
    deliveries; it is resumed when it comes back.

    Args:
        fleet: as it is.
        wanted: what should be, whatever its ids.
        manager: who keeps these.
        gone: the reason for pausing.

    Raises:
        FleetError: a name is taken by what somebody else keeps.
    """
    _refuse_taken(fleet, wanted, manager)
    changes: list[Change] = []
    destinations = _destinations(fleet, [one for one, _route in wanted], manager, gone, changes)
    routes = _routes(fleet, [one for _destination, one in wanted], manager, changes)
    if not changes:
        return Plan((), fleet)
    version = fleet.version + 1
    return Plan(
        tuple(changes), replace(fleet, version=version, destinations=destinations, routes=routes)
    )


def _refuse_taken(fleet: Fleet, wanted: Sequence[Pair], manager: str) -> None:
    others = {one.name for one in fleet.destinations if one.managed != manager}
    others |= {one.name for one in fleet.routes if one.managed != manager}
    for destination, _route in wanted:
        if destination.name in others:
            said = _('The fleet has a destination or route "{name}" already.')
            hint = _("Give the handler another name: {example}").format(example='name="…"')
            raise FleetError(said.format(name=destination.name), hint=hint)


def _destinations(
    fleet: Fleet, wanted: Sequence[Destination], manager: str, gone: str, changes: list[Change]
) -> tuple[Destination, ...]:
    by_name = {one.name: one for one in wanted}
    kept = []
    for old in fleet.destinations:
        if old.managed != manager:
            kept.append(old)
            continue
        new = by_name.pop(old.name, None)
        # A person's reason for pausing it outlives a restart.
        paused = old.paused if new is None or old.paused != gone else ""
        made = replace(new or old, id=old.id, paused=paused or ("" if new else gone))
        kept.append(made)
        if made != old:
            detail = destination_detail(old, made) or made.paused
            changes.append(Change("change", "destination", old.name, detail))
    for new in by_name.values():
        changes.append(Change("add", "destination", new.name, destination_detail(None, new)))
        kept.append(replace(new, id=fresh("dst")))
    return tuple(kept)


def _routes(
    fleet: Fleet, wanted: Sequence[Route], manager: str, changes: list[Change]
) -> tuple[Route, ...]:
    by_name = {one.name: one for one in wanted}
    kept = []
    for old in fleet.routes:
        if old.managed != manager:
            kept.append(old)
            continue
        new = by_name.pop(old.name, None)
        if new is None:
            changes.append(Change("remove", "route", old.name))
            continue
        made = replace(new, id=old.id)
        kept.append(made)
        if made != old:
            changes.append(Change("change", "route", old.name, route_detail(old, made)))
    for new in by_name.values():
        changes.append(Change("add", "route", new.name, route_detail(None, new)))
        kept.append(replace(new, id=fresh("rte")))
    return tuple(kept)


def removed_destination(fleet: Fleet, name: str) -> Plan | None:
    """The fleet without a managed destination that nothing leads to; None: it is not managed.

    Raises:
        FleetError: its handler is there, and would only bring it back.
    """
    found = next((one for one in fleet.destinations if one.managed and one.name == name), None)
    if found is None:
        return None
    users = [one.name for one in fleet.routes if name in one.to]
    if users:
        raise FleetError(_belongs().format(name=name))
    kept = tuple(one for one in fleet.destinations if one is not found)
    change = Change("remove", "destination", name)
    return Plan((change,), replace(fleet, version=fleet.version + 1, destinations=kept))


def refuse_managed_route(fleet: Fleet, name: str) -> None:
    """Refuse to remove what would come back.

    Raises:
        FleetError: the route is a handler's.
    """
    if any(one.managed and one.name == name for one in fleet.routes):
        raise FleetError(_belongs().format(name=name))


def refuse_managed_destination(fleet: Fleet, name: str) -> None:
    """Refuse to change what the next start would change back.

    Raises:
        FleetError: the destination is a handler's.
    """
    if any(one.managed and one.name == name for one in fleet.destinations):
        said = _('"{name}" belongs to a handler. Change it in its module, and start it again.')
        raise FleetError(said.format(name=name))


def _belongs() -> str:
    return _(
        '"{name}" belongs to a handler. Take the handler out of its module, and start the gateway '
        "again."
    )
