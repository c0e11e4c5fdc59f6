"""What dispatch counts for who watches: added up in slots, kept while the ledger is away."""

import asyncio
from collections.abc import Sequence
from typing import cast

import msgspec
import pytest
from tests.support.deliveries import delivery

from comporta.dispatch import slots
from comporta.dispatch.slots import Slots
from comporta.domain.delivery import AttemptResult, DeliveryState, Outcome, Verdict
from comporta.errors import StoreUnavailableError
from comporta.ledger.watching import Counted, Slot, Watching
from comporta.testing.conformance.ledger_stage import new_event
from comporta.testing.conformance.records import record

HOUR_MS = 3_600_000
NOW_MS = 1_795_500_000_000 // HOUR_MS * HOUR_MS


class Shelf:
    """Takes slots, or is away."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.away = False

    async def add_slots(self, slots: Sequence[Slot]) -> None:
        if self.away:
            raise StoreUnavailableError("away")
        self.slots += slots


def outcome(status: int | None, at_ms: int, *, sent: bool = True) -> Outcome:
    result = AttemptResult(at_ms, 20.0, status, "" if status else "no", sent=sent)
    return Outcome(delivery(1), result, Verdict(DeliveryState.DELIVERED))


def counted(shelf: Shelf, away_first: bool = False) -> list[Slot]:
    """Three events, four attempts; after an outage of the ledger, if asked for."""
    one = Slots(cast("Watching", shelf))
    for minute in (0, 0, 59):
        at_ms = NOW_MS + minute * 60_000 + 1
        one.events([new_event(1, msgspec.structs.replace(record(), accepted_at_ms=at_ms))])
    for status, sent in ((200, True), (503, True), (None, True), (None, False)):
        one.attempt(outcome(status, NOW_MS + 299_999, sent=sent))
    if away_first:
        shelf.away = True
        asyncio.run(one.flush())
        shelf.away = False
    asyncio.run(one.flush())
    asyncio.run(one.flush())
    return shelf.slots


@pytest.mark.parametrize("away_first", [False, True])
def test_events_and_attempts_add_up_once(away_first: bool) -> None:
    events, attempts = counted(Shelf(), away_first)
    assert (events.kind, events.count, events.start_ms) == (Counted.EVENTS, 3, NOW_MS)
    assert events.minutes == 1 << 59 | 1
    assert events.last_at_ms == NOW_MS + 59 * 60_000 + 1
    assert (attempts.kind, attempts.count, attempts.bad) == (Counted.ATTEMPTS, 3, 2)
    assert (attempts.spent_ms, attempts.start_ms) == (60, NOW_MS)


def test_what_waits_for_a_ledger_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLOTS_MAX", 2)
    shelf = Shelf()
    one = Slots(cast("Watching", shelf))
    for hour in range(3):
        one.events(
            [
                new_event(
                    1, msgspec.structs.replace(record(), accepted_at_ms=NOW_MS + hour * HOUR_MS)
                )
            ]
        )
    asyncio.run(one.flush())
    assert len(shelf.slots) == 2
