"""The operations on alerts: what is wrong, and that somebody knows of it."""

from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request

from comporta.console import shapes, told
from comporta.console.desk import Desk, who
from comporta.console.operations import OPERATE, READ, Operations

AlertName = Annotated[str, Path(max_length=300, description="As the list says it: `breaker:crm`.")]
Over = Annotated[bool, Query(description="Those that are over as well, of the last week.")]


class AlertOperations:
    """Registers them."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._alerts = desk, desk.stores.alerts

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("GET", "/alerts", "listAlerts", self.list, READ, shapes.Alerts)
        path = "/alerts/{name}/acknowledge"
        add("POST", path, "acknowledgeAlert", self.acknowledge, OPERATE, shapes.Alert)

    async def list(self, over: Over = False) -> shapes.Alerts:
        """Alerts that are open, newest first."""
        return shapes.Alerts(items=[told.alert(one) for one in await self._alerts.list(over=over)])

    async def acknowledge(self, request: Request, name: AlertName) -> shapes.Alert:
        """Say that you know of an alert: it is not told again, but its end is."""
        known = await self._alerts.acknowledge(name, who(request), self._desk.now_ms())
        return told.alert(known)
