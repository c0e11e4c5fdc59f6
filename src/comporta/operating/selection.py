"""Which deliveries a change in bulk means, with names as people use them. Pure."""

import msgspec

from comporta.domain.delivery import DeliveryState
from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.ledger.port import DeliveryFilter
from comporta.operating.names import Names


class Selection(msgspec.Struct, frozen=True):
    """What somebody asked for, with names. None, or nothing: any."""

    state: DeliveryState | None = None
    event_id: int | None = None
    delivery_ids: tuple[int, ...] = ()
    destination: str | None = None
    instance: str | None = None
    event_type: str | None = None
    route: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    reason: str | None = None


def check_chosen(which: Selection, *, every: bool) -> None:
    """Everything is never chosen by accident, and ids stand alone.

    Raises:
        ConfigError: nothing was chosen, or both ways at once.
    """
    common = every or msgspec.structs.replace(which, delivery_ids=()) != Selection()
    if which.delivery_ids and common:
        raise ConfigError(_("Choose deliveries either by id or by what they have in common."))
    if not which.delivery_ids and not common:
        raise ConfigError(_("Say which deliveries are meant, or that all are."))


def filter_of(which: Selection, names: Names) -> DeliveryFilter:
    """The same for the ledger.

    Raises:
        NotFoundError: a name does not exist.
    """
    return DeliveryFilter(
        state=which.state,
        event_id=which.event_id,
        delivery_ids=which.delivery_ids,
        destination_id=names.destination_id(which.destination),
        instance_id=names.instance_id(which.instance),
        event_type=which.event_type,
        route_id=names.route_id(which.route),
        since_ms=which.since_ms,
        until_ms=which.until_ms,
        reason=which.reason,
    )
