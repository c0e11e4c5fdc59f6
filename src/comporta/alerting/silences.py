"""Which instances are quieter than normal, from the hours that the ledger keeps.

The weeks are read once, and then what has come since; a rhythm is learnt anew once a day.
"""

import asyncio
from collections.abc import Mapping

from comporta.alerting.config import Plan
from comporta.domain.rhythm import (
    DAY_MS,
    HOUR_MS,
    LEARN_WEEKS,
    RECENT_HOURS,
    Hour,
    Rhythm,
    Silence,
    learn,
    silence,
)
from comporta.ledger.watching import Counted, Slot, Watching

LEARN_EVERY_MS = DAY_MS
LEARN_AT_ONCE = 8
"""Rhythms learnt in one look: each takes some ten milliseconds."""
KEPT_MS = (LEARN_WEEKS + 1) * 7 * DAY_MS


class Silences:
    """What one evaluator knows of the instances."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching
        self._hours: dict[str, dict[int, int]] = {}
        """Instance id → start of an hour → its busy minutes, a bit for each."""
        self._last_at_ms: dict[str, int] = {}
        self._rhythms: dict[str, tuple[int, Rhythm]] = {}
        self._read_until_ms = 0

    async def look(
        self, instances: Mapping[str, str], plan: Plan, awake_since_ms: int, now_ms: int
    ) -> dict[str, Silence]:
        """Name of an instance → its silence, of those that are too quiet.

        Args:
            instances: id → name, of those that are in the fleet.
            plan: with the calendar and the threshold for new ones.
            awake_since_ms: before this nothing could come, or nobody looked (Unix ms).
            now_ms: Unix milliseconds.

        Raises:
            StoreUnavailableError: the ledger does not answer.
        """
        await self._read(now_ms)
        await self._learn(plan, now_ms)
        found = {}
        for id_, name in instances.items():
            one = self._judge(id_, plan, awake_since_ms, now_ms)
            if one is not None:
                found[name] = one
        return found

    def _judge(self, id_: str, plan: Plan, awake_since_ms: int, now_ms: int) -> Silence | None:
        if id_ not in self._rhythms:
            return None
        last_at_ms = max(self._last_at_ms[id_], awake_since_ms)
        hour_ms = last_at_ms // HOUR_MS * HOUR_MS
        known = self._hours[id_]
        recent = {at: known.get(at, 0).bit_count() for at in _before(hour_ms)}
        plain_ms = int(plan.file.rules.silence_new_h * HOUR_MS)
        rhythm = self._rhythms[id_][1]
        return silence(rhythm, recent, last_at_ms, now_ms, plan.calendar, plain_ms)

    async def _read(self, now_ms: int) -> None:
        since_ms = self._read_until_ms - HOUR_MS if self._read_until_ms else now_ms - KEPT_MS
        for slot in await self._watching.slots(Counted.EVENTS, since_ms):
            self._take(slot)
        self._read_until_ms = now_ms // HOUR_MS * HOUR_MS

    def _take(self, slot: Slot) -> None:
        hours = self._hours.setdefault(slot.name, {})
        hours[slot.start_ms] = hours.get(slot.start_ms, 0) | slot.minutes
        self._last_at_ms[slot.name] = max(self._last_at_ms.get(slot.name, 0), slot.last_at_ms)

    async def _learn(self, plan: Plan, now_ms: int) -> None:
        until_ms = now_ms // HOUR_MS * HOUR_MS
        stale = [
            id_
            for id_ in self._hours
            if id_ not in self._rhythms or now_ms - self._rhythms[id_][0] >= LEARN_EVERY_MS
        ]
        for id_ in stale[:LEARN_AT_ONCE]:
            kept = {at: m for at, m in self._hours[id_].items() if at >= now_ms - KEPT_MS}
            self._hours[id_] = kept
            hours = [Hour(at, minutes) for at, minutes in sorted(kept.items()) if minutes]
            past = [one for one in hours if one.start_ms < until_ms]
            rhythm = await asyncio.to_thread(learn, past, until_ms, plan.calendar)
            first_ms = hours[0].start_ms if hours else now_ms
            self._rhythms[id_] = (now_ms, rhythm or Rhythm(first_ms))


def _before(hour_ms: int) -> range:
    return range(hour_ms - RECENT_HOURS * HOUR_MS, hour_ms, HOUR_MS)
