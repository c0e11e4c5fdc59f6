"""Which deliveries a change in bulk means, and in which steps it goes. Pure."""

import msgspec

from comporta.domain.delivery import DeliveryState
from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.ledger.port import DeliveryFilter
from comporta.operating.names import Names

STEP_MAX = 500
"""Deliveries in one step: no transaction grows with the backlog."""


class Selection(msgspec.Struct, frozen=True):
    """What somebody asked for, with names. None: any."""

    state: DeliveryState | None = None
    event_id: int | None = None
    delivery_id: int | None = None
    destination: str | None = None
    instance: str | None = None
    since_ms: int | None = None
    every: bool = False
    """All there are; without it something must be chosen."""


def filter_of(which: Selection, names: Names) -> DeliveryFilter:
    """The same for the ledger. All deliveries of an event are meant, whatever their state.

    Raises:
        ConfigError: nothing was chosen.
        NotFoundError: a name does not exist.
    """
    chosen = (
        *(which.event_id, which.delivery_id, which.destination),
        *(which.instance, which.since_ms),
    )
    if not which.every and all(one is None for one in chosen):
        raise ConfigError(_("Say which deliveries are meant, or that all are."))
    return DeliveryFilter(
        state=which.state if which.event_id is None else None,
        event_id=which.event_id,
        delivery_id=which.delivery_id,
        destination_id=names.destination_id(which.destination),
        instance_id=names.instance_id(which.instance),
        since_ms=which.since_ms,
    )
