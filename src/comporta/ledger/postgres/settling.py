"""Outcomes on their way into PostgreSQL: kept once, even if a connection breaks at the commit."""

from collections.abc import Mapping, Sequence

from comporta.clients.postgresql import Connection, Pool
from comporta.clients.postgresql_words import UnsureError
from comporta.domain.delivery import Outcome
from comporta.ledger.postgres.days import Days, day_of
from comporta.ledger.postgres.dispatch import places_of, settle
from comporta.ledger.sql import blocks

SQL = blocks("postgres")
Mark = tuple[int, int, float]
"""Delivery, and when its attempt began and how long it took: no two attempts share them."""


class Settler:
    """Keeps outcomes.

    Args:
        pool: for dispatch.
        days: the parts of the tables.
    """

    def __init__(self, pool: Pool, days: Days) -> None:
        self._pool, self._days = pool, days
        self._unsure: set[Mark] = set()
        """Of outcomes that may be stored already: their commit broke off. They come again."""

    async def settle(
        self, tokens: Mapping[int, int], outcomes: Sequence[Outcome], now_ms: int
    ) -> frozenset[int]:
        """See the port."""
        marks = set(map(_mark, outcomes))
        try:
            fenced = await self._days.run(self._pool, self._settle, tokens, outcomes, now_ms)
        except UnsureError:
            self._unsure |= marks
            raise
        self._unsure -= marks
        return fenced

    async def _settle(
        self,
        connection: Connection,
        tokens: Mapping[int, int],
        outcomes: Sequence[Outcome],
        now_ms: int,
    ) -> frozenset[int]:
        again = {one.delivery.id for one in outcomes if _mark(one) in self._unsure}
        statement = "places_alone" if again else "places_to_keep"
        places = await places_of(connection, statement, tokens)
        stored = await _stored(connection, again) if again else frozenset()
        mine = [
            outcome
            for outcome in outcomes
            if outcome.delivery.partition in places.mine
            and not (_mark(outcome) in self._unsure and _mark(outcome) in stored)
        ]
        await self._days.need(connection, {day_of(outcome.delivery.id) for outcome in mine})
        await settle(connection, mine, now_ms)
        return places.fenced


async def _stored(connection: Connection, deliveries: set[int]) -> frozenset[Mark]:
    rows = await connection.fetch(SQL["attempts_of"], list(deliveries))
    return frozenset((row[0], row[1], row[2]) for row in rows)


def _mark(outcome: Outcome) -> Mark:
    result = outcome.result
    return outcome.delivery.id, result.started_at_ms, result.duration_ms
