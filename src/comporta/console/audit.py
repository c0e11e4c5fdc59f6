"""The operations that tell who did what, when: to deliveries, and to the fleet."""

from starlette.requests import Request
from starlette.responses import Response

from comporta.console import shapes, told
from comporta.console.desk import Desk
from comporta.console.operations import READ, Operations
from comporta.console.paging import Cursor, Limit, cut, link, read_id_cursor


class AuditOperations:
    """Registers them."""

    def __init__(self, desk: Desk) -> None:
        self._ledger = desk.stores.ledger

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        page = shapes.Page[shapes.Operation]
        add("GET", "/audit/operations", "listOperations", self.operations, READ, page)
        changes = shapes.Page[shapes.FleetChange]
        add("GET", "/audit/fleet", "listFleetChanges", self.fleet, READ, changes)

    async def operations(
        self, request: Request, response: Response, limit: Limit = 50, cursor: Cursor = None
    ) -> shapes.Page[shapes.Operation]:
        """What was done to deliveries in bulk, newest first."""
        before_id = read_id_cursor("operations", cursor)
        rows = await self._ledger.operations(before_id, limit + 1)
        page, after = cut(rows, limit, "operations", lambda row: row.id)
        link(request, response, after)
        return shapes.Page(items=[told.operation(row) for row in page], next=after)

    async def fleet(
        self, request: Request, response: Response, limit: Limit = 50, cursor: Cursor = None
    ) -> shapes.Page[shapes.FleetChange]:
        """Versions of the fleet, newest first."""
        before = read_id_cursor("fleet-changes", cursor)
        rows = await self._ledger.fleet_changes(before, limit + 1)
        page, after = cut(rows, limit, "fleet-changes", lambda row: row.version)
        link(request, response, after)
        return shapes.Page(items=[told.fleet_change(row) for row in page], next=after)
