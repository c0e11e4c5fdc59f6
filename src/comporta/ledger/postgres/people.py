"""The part of the PostgreSQL ledger that people, the admin API and retention ask.

It delegates like the part for dispatch. What may take long has a pool of its own, so that it holds
up nobody.
"""

from comporta.clients.postgresql_database import Database
from comporta.domain.pace import Pace
from comporta.ledger.admin import AdminLedger
from comporta.ledger.copying import Copying
from comporta.ledger.keeping import Keeping
from comporta.ledger.port import (
    AttemptRow,
    Bulk,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
    FleetChange,
    LedgerTotals,
    Matches,
    Operation,
    Step,
)
from comporta.ledger.postgres import bulk, questions
from comporta.ledger.postgres.admin import PostgresAdmin
from comporta.ledger.postgres.copying import PostgresCopying
from comporta.ledger.postgres.days import Days
from comporta.ledger.postgres.keeping import PostgresKeeping
from comporta.ledger.postgres.watching import PostgresWatching
from comporta.ledger.watching import Watching


class PostgresPeople:
    """What `PostgresLedger` has for people.

    Args:
        database: with its pools.
        days: the parts of the tables.
    """

    def __init__(self, database: Database, days: Days) -> None:
        self._days = days
        self._people, self._watch = database.people, database.watch
        self._keeping = PostgresKeeping(database.upkeep, database.watch)
        self._admin = PostgresAdmin(database.watch)
        self._copying = PostgresCopying(database, days)
        self._watching = PostgresWatching(database.watch, database.people)

    @property
    def keeping(self) -> Keeping:
        """See the port."""
        return self._keeping

    @property
    def admin(self) -> AdminLedger:
        """See the port."""
        return self._admin

    @property
    def copying(self) -> Copying:
        """See the port."""
        return self._copying

    @property
    def watching(self) -> Watching:
        """See the port."""
        return self._watching

    async def events(self, which: EventFilter) -> list[EventRow]:
        """See the port."""
        return await self._people.run(questions.events, which)

    async def event(self, event_id: int) -> EventDetail | None:
        """See the port."""
        return await self._watch.run(questions.event, event_id)

    async def deliveries(self, which: DeliveryFilter) -> list[DeliveryRow]:
        """See the port."""
        return await self._people.run(questions.deliveries, which)

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        """See the port."""
        return await self._watch.run(questions.attempts, delivery_id)

    async def count(self, which: DeliveryFilter) -> int:
        """See the port."""
        return await self._people.run(questions.count, which)

    async def matches(self, what: Bulk, which: DeliveryFilter) -> Matches:
        """See the port."""
        return await self._people.run(bulk.matches, what, which)

    async def redrive(self, which: DeliveryFilter, now_ms: int, operation_id: int = 0) -> Step:
        """See the port."""
        chosen = await self._people.run(bulk.chosen, Bulk.REDRIVE, which)
        return await self._watch.run(bulk.redrive, chosen, now_ms, operation_id)

    async def replay(
        self,
        which: DeliveryFilter,
        now_ms: int,
        destination_id: str | None = None,
        pace: Pace | None = None,
        operation_id: int = 0,
    ) -> Step:
        """See the port."""
        chosen = await self._people.run(bulk.chosen, Bulk.REPLAY, which)
        values = (chosen, now_ms, destination_id, pace, operation_id)
        return await self._days.run(self._watch, bulk.replay, self._days, *values)

    async def discard(
        self, which: DeliveryFilter, now_ms: int, reason: str, operation_id: int = 0
    ) -> Step:
        """See the port."""
        chosen = await self._people.run(bulk.chosen, Bulk.DISCARD, which)
        return await self._watch.run(bulk.discard, chosen, now_ms, reason, operation_id)

    async def note(self, operation: Operation) -> int:
        """See the port."""
        return await self._watch.run(bulk.note, operation)

    async def operations(self, before_id: int | None, limit: int) -> list[Operation]:
        """See the port."""
        return await self._watch.run(bulk.operations, before_id, limit)

    async def fleet_changes(self, before_version: int | None, limit: int) -> list[FleetChange]:
        """See the port."""
        return await self._watch.run(bulk.fleet_changes, before_version, limit)

    async def totals(self) -> LedgerTotals:
        """See the port."""
        return await self._watch.run(questions.totals)
