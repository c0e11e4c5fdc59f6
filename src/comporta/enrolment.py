"""Handlers become part of the fleet: each a destination `handler:NAME`, and the route to it.

`comporta serve` does it first, to refuse in words; each dispatch process does it again at its
start, and finds nothing to do.
"""

from collections.abc import Sequence

import structlog

from comporta.fleet.names import is_glob
from comporta.fleet.plan import Plan
from comporta.fleet.service import FleetService
from comporta.handlers.registry import MANAGER, Handler

GONE = "its handler is gone from the module"
_log = structlog.get_logger(__name__)


async def enrol_handlers(fleet: FleetService, handlers: Sequence[Handler]) -> Plan:
    """Make the fleet have exactly these handlers; what it changed.

    An instance that a handler names and the fleet does not have is no reason to refuse: it may come
    later, and a gateway that does not start loses webhooks.

    Raises:
        FleetError: a handler's name is taken.
        ComportaError: the fleet cannot be read or written.
    """
    pairs = [(one.destination(""), one.route("")) for one in handlers]
    plan = await fleet.enrol(pairs, MANAGER, GONE)
    if plan.changes:
        _log.info("handlers.enrolled", changes=plan.summary())
    known = {one.name for one in plan.fleet.instances}
    for handler in handlers:
        for name in handler.instances:
            if not is_glob(name) and name not in known:
                _log.warning("handler.instance_unknown", handler=handler.name, name=name)
    return plan
