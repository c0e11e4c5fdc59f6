"""How much happens, gathered in memory and added to the ledger now and then.

Silence and failures are judged by it (`comporta.alerting`). It costs an event an addition, and a
process that is killed the last `FLUSH_S` of it.
"""

import asyncio
from collections.abc import Sequence

import structlog

from comporta.domain.delivery import Outcome
from comporta.errors import StoreUnavailableError
from comporta.ledger.port import NewEvent
from comporta.ledger.watching import SLOT_MS, Counted, Slot, Watching
from comporta.telemetry.spells import Spell

FLUSH_S = 15.0
SLOTS_MAX = 20_000
"""That wait for a ledger that is away; what is beyond is not counted."""
MINUTE_MS = 60_000
_log = structlog.get_logger(__name__)


class _Sum:
    """A slot that grows."""

    __slots__ = ("bad", "count", "last_at_ms", "minutes", "spent_ms")

    def __init__(self) -> None:
        self.count = self.bad = self.last_at_ms = self.minutes = 0
        self.spent_ms = 0.0


class Slots:
    """What one dispatcher counts."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching
        self._sums: dict[tuple[Counted, str, int], _Sum] = {}
        self._spell = Spell(_log, "counts.not_stored", "counts.stored_again")

    def events(self, events: Sequence[NewEvent]) -> None:
        """Count events that the ledger has taken over."""
        for event in events:
            record = event.record
            at_ms = record.accepted_at_ms
            one = self._sum(Counted.EVENTS, record.instance_id, at_ms)
            one.count += 1
            one.minutes |= 1 << at_ms % SLOT_MS[Counted.EVENTS] // MINUTE_MS
            one.last_at_ms = max(one.last_at_ms, at_ms)

    def attempt(self, outcome: Outcome) -> None:
        """Count an attempt; one that did not go out says nothing about its destination."""
        result = outcome.result
        if result.sent:
            one = self._sum(Counted.ATTEMPTS, outcome.delivery.destination_id, result.started_at_ms)
            one.count += 1
            one.bad += not result.succeeded
            one.spent_ms += result.duration_ms
            one.last_at_ms = max(one.last_at_ms, result.started_at_ms)

    async def run(self) -> None:
        """Add to the ledger what was counted, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Add it now; what the ledger does not take waits."""
        sums, self._sums = self._sums, {}
        if not sums:
            return
        try:
            await self._watching.add_slots([_slot(key, one) for key, one in sums.items()])
        except StoreUnavailableError as error:
            self._spell.failed(error)
            self._put_back(sums)
        else:
            self._spell.worked()

    def _sum(self, kind: Counted, name: str, at_ms: int) -> _Sum:
        key = (kind, name, at_ms - at_ms % SLOT_MS[kind])
        one = self._sums.get(key)
        if one is None:
            one = _Sum()
            if len(self._sums) < SLOTS_MAX:
                self._sums[key] = one
        return one

    def _put_back(self, sums: dict[tuple[Counted, str, int], _Sum]) -> None:
        for (kind, name, start_ms), old in sums.items():
            one = self._sum(kind, name, start_ms)
            one.count += old.count
            one.bad += old.bad
            one.spent_ms += old.spent_ms
            one.minutes |= old.minutes
            one.last_at_ms = max(one.last_at_ms, old.last_at_ms)


def _slot(key: tuple[Counted, str, int], one: _Sum) -> Slot:
    kind, name, start_ms = key
    spent_ms = int(one.spent_ms)
    return Slot(kind, name, start_ms, one.count, one.bad, spent_ms, one.last_at_ms, one.minutes)
