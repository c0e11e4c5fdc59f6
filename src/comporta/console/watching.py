"""The operations that tell how the gateway is: a summary, its workers, and what was refused."""

from starlette.requests import Request
from starlette.responses import Response

from comporta import __version__
from comporta.console import shapes, told
from comporta.console.desk import Desk
from comporta.console.operations import READ, Operations
from comporta.console.paging import Cursor, Limit, cut, link, read_id_cursor


class WatchingOperations:
    """Registers them."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._stores = desk, desk.stores

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("GET", "/summary", "showSummary", self.summary, READ, shapes.Summary)
        add("GET", "/workers", "listWorkers", self.workers, READ, shapes.Workers)
        add("GET", "/breakers", "listBreakers", self.breakers, READ, shapes.Breakers)
        add("GET", "/rejected", "listRejected", self.rejected, READ, shapes.Page[shapes.Rejected])

    async def summary(self) -> shapes.Summary:
        """How the gateway is, in a few numbers."""
        desk, stores = self._desk, self._stores
        totals = await stores.ledger.totals()
        return shapes.Summary(
            version=__version__,
            public_url=desk.public_url,
            fleet_version=await stores.ledger.fleet_version(),
            workers=len(await stores.state.workers(desk.now_ms(), desk.lease_s)),
            lag=await stores.log.lag(),
            pending=totals.pending,
            scheduled=totals.scheduled,
            dead=totals.dead,
            oldest_open_at=told.moment_or_none(totals.oldest_open_at_ms),
        )

    async def workers(self) -> shapes.Workers:
        """The workers that are alive."""
        rows = await self._stores.state.workers(self._desk.now_ms(), self._desk.lease_s)
        return shapes.Workers(items=[told.worker(row) for row in rows])

    async def breakers(self) -> shapes.Breakers:
        """The circuit breakers that are not closed."""
        names = await self._desk.names()
        found = sorted((await self._stores.state.breakers()).items())
        return shapes.Breakers(items=[told.breaker(key, one, names) for key, one in found])

    async def rejected(
        self, request: Request, response: Response, limit: Limit = 50, cursor: Cursor = None
    ) -> shapes.Page[shapes.Rejected]:
        """Webhook calls that were refused, newest first."""
        names = await self._desk.names()
        before_id = read_id_cursor("rejected", cursor)
        rows = await self._stores.state.rejected(limit + 1, before_id)
        page, after = cut(rows, limit, "rejected", lambda row: row.id)
        link(request, response, after)
        return shapes.Page(items=[told.rejected(row, names) for row in page], next=after)
