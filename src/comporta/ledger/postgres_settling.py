"""Outcomes on their way into PostgreSQL: kept once, even if a connection breaks at the commit."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from comporta.clients.postgresql import Connection, Pool
from comporta.clients.postgresql_words import UnsureError
from comporta.domain.delivery import Outcome
from comporta.ledger.postgres_days import Days, day_of
from comporta.ledger.postgres_dispatch import places_of, settle
from comporta.ledger.postgres_fate import was_committed

Mark = tuple[int, int, float]
"""Delivery, and when its attempt began and how long it took: no two attempts share them."""


class _Written(NamedTuple):
    """What a transaction that may have been committed was about."""

    number: str
    marks: frozenset[Mark]
    fenced: frozenset[int]


class Settler:
    """Keeps outcomes. `pool`: for dispatch. `days`: the parts of the tables."""

    def __init__(self, pool: Pool, days: Days) -> None:
        self._pool, self._days = pool, days
        self._unsure: list[_Written] = []
        self._kept: set[Mark] = set()

    async def settle(
        self, tokens: Mapping[int, int], outcomes: Sequence[Outcome], now_ms: int
    ) -> frozenset[int]:
        """See the port."""
        await self._learn_fate()
        wanted = [outcome for outcome in outcomes if _mark(outcome) not in self._kept]
        try:
            written = await self._days.run(self._pool, self._settle, tokens, wanted, now_ms)
        except UnsureError as error:
            if isinstance(error.result, _Written):
                self._unsure.append(error.result)
            raise
        self._kept.difference_update(map(_mark, outcomes))
        return written.fenced

    async def _settle(
        self,
        connection: Connection,
        tokens: Mapping[int, int],
        outcomes: Sequence[Outcome],
        now_ms: int,
    ) -> _Written:
        places = await places_of(connection, "places_to_keep", tokens)
        mine = [outcome for outcome in outcomes if outcome.delivery.partition in places.mine]
        await self._days.need(connection, {day_of(outcome.delivery.id) for outcome in mine})
        await settle(connection, mine, now_ms)
        return _Written(places.number, frozenset(map(_mark, mine)), places.fenced)

    async def _learn_fate(self) -> None:
        """Before anything new: are the outcomes stored whose commit broke off?"""
        for unsure in tuple(self._unsure):
            committed = await was_committed(self._pool, unsure.number)
            if unsure in self._unsure:  # nobody else has asked meanwhile
                self._unsure.remove(unsure)
                self._kept |= unsure.marks if committed else frozenset()


def _mark(outcome: Outcome) -> Mark:
    result = outcome.result
    return outcome.delivery.id, result.started_at_ms, result.duration_ms
