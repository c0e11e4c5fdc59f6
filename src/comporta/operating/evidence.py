"""Gathers what `comporta.domain.diagnosis` wants to know of one instance, from ledger and state.

It asks what people may ask, so it can ask a running gateway as well as local stores. It looks at a
bounded number of the newest rows, and opens no body that it does not need.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

import msgspec

from comporta.chatwoot.birth import born_at_ms
from comporta.domain import ids
from comporta.domain.breaker import Breaker, BreakerState
from comporta.domain.delivery import SUCCESS, DeliveryState
from comporta.domain.diagnosis import Numbers, Receiver, Refusals, measure
from comporta.domain.fleet import Destination, Fleet, Instance
from comporta.ledger.port import (
    AttemptRow,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
)
from comporta.state.port import Rejected

EVENTS_MAX = 1000
BODIES_MAX = 40
DELIVERIES_MAX = 1000
OPEN_MAX = 200
TRIED_EACH = 20
"""Deliveries of a destination whose attempts are looked at."""
DESTINATIONS_MAX = 20
REFUSED_MAX = 1000
_TIMESTAMP = "x-chatwoot-timestamp"
_DIGITS_MAX = 12


class Ledger(Protocol):
    """What is asked of a ledger; see `comporta.ledger.port.Ledger`."""

    async def events(self, which: EventFilter) -> list[EventRow]:
        """Events, newest first."""
        ...

    async def event(self, event_id: int) -> EventDetail | None:
        """One event, or None."""
        ...

    async def deliveries(self, which: DeliveryFilter) -> list[DeliveryRow]:
        """Deliveries, newest first."""
        ...

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        """All attempts of a delivery, oldest first."""
        ...


class State(Protocol):
    """What is asked of the state; see `comporta.state.port.State`."""

    async def breakers(self) -> dict[str, Breaker]:
        """Destination id → its breaker, where it is not closed."""
        ...

    async def rejected(self, limit: int) -> list[Rejected]:
        """The newest refused requests."""
        ...


class Window(msgspec.Struct, frozen=True):
    """What time is meant, Unix milliseconds."""

    since_ms: int
    now_ms: int


async def gather(
    ledger: Ledger, state: State, fleet: Fleet, instance: Instance, window: Window
) -> Numbers:
    """What ledger and state know of an instance in that time.

    Raises:
        StoreUnavailableError: one of them does not answer.
    """
    rows = await ledger.events(
        EventFilter(instance_id=instance.id, since_ms=window.since_ms, limit=EVENTS_MAX)
    )
    last = rows or await ledger.events(EventFilter(instance_id=instance.id, limit=1))
    numbers = Numbers(
        window_s=(window.now_ms - window.since_ms) / 1000,
        events=len(rows),
        last_event_at_ms=last[0].accepted_at_ms if last else None,
        taking=measure([max(0, ids.millis_of(r.id) - r.accepted_at_ms) / 1000 for r in rows]),
        refusals=_refusals(await state.rejected(REFUSED_MAX), instance, window.since_ms),
        receivers=await _receivers(ledger, state, fleet, instance.id, window),
    )
    return msgspec.structs.replace(numbers, **await _journeys(ledger, rows))


async def _journeys(ledger: Ledger, rows: Sequence[EventRow]) -> dict[str, object]:
    """How long Chatwoot took to send, and how long the way was."""
    split, whole, way = [], [], []
    created = [one for one in rows if one.event_type.endswith("_created") and not one.duplicate_of]
    for row in created[:BODIES_MAX]:
        detail = await ledger.event(row.id)
        if detail is None:
            continue
        sent_at_ms = _sent_at_ms(detail)
        if sent_at_ms is not None:
            way.append((row.accepted_at_ms - sent_at_ms) / 1000)
        born = born_at_ms(row.event_type, detail.body) if detail.body is not None else None
        if born is not None and sent_at_ms is not None:
            split.append((sent_at_ms - born) / 1000)
        elif born is not None:
            whole.append((row.accepted_at_ms - born) / 1000)
    return {
        "sending": measure(split or whole),
        "sending_with_way": not split and bool(whole),
        "way": measure(way),
    }


def _sent_at_ms(detail: EventDetail) -> int | None:
    """When Chatwoot signed it, which is when it sent it (whole seconds of its clock)."""
    text = next((value for name, value in detail.headers if name == _TIMESTAMP), "")
    known = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) * 1000 if known else None


def _refusals(rows: Sequence[Rejected], instance: Instance, since_ms: int) -> tuple[Refusals, ...]:
    own = {source.id for source in instance.sources}
    mine = [row for row in rows if row.source_id in own and row.at_ms >= since_ms]
    counts = Counter((row.status, row.reason) for row in mine)
    last: dict[tuple[int, str], int] = {}
    for row in mine:
        key = row.status, row.reason
        last[key] = max(last.get(key, 0), row.at_ms)
    return tuple(Refusals(*key, count, last[key]) for key, count in counts.most_common())


async def _receivers(
    ledger: Ledger, state: State, fleet: Fleet, instance_id: str, window: Window
) -> tuple[Receiver, ...]:
    rows = {
        one.id: one
        for which in (
            DeliveryFilter(instance_id=instance_id, since_ms=window.since_ms, limit=DELIVERIES_MAX),
            *(
                DeliveryFilter(instance_id=instance_id, state=open_, limit=OPEN_MAX)
                for open_ in (DeliveryState.PENDING, DeliveryState.SCHEDULED)
            ),
        )
        for one in await ledger.deliveries(which)
    }
    by_destination: dict[str, list[DeliveryRow]] = defaultdict(list)
    for one in sorted(rows.values(), key=lambda row: -row.id):
        by_destination[one.destination_id].append(one)
    breakers = await state.breakers()
    known = {one.id: one for one in fleet.destinations}
    return tuple(
        [
            await _receiver(ledger, known[id_], mine, breakers.get(id_), window)
            for id_, mine in list(by_destination.items())[:DESTINATIONS_MAX]
            if id_ in known
        ]
    )


async def _receiver(
    ledger: Ledger,
    destination: Destination,
    rows: Sequence[DeliveryRow],
    breaker: Breaker | None,
    window: Window,
) -> Receiver:
    tries = [
        attempt
        for row in [one for one in rows if one.attempts][:TRIED_EACH]
        for attempt in await ledger.attempts(row.id)
        if attempt.started_at_ms >= window.since_ms
    ]
    tries.sort(key=lambda one: one.started_at_ms)
    failures = [one for one in tries if not _succeeded(one)]
    untried = [one for one in rows if not one.attempts and not one.state.ended]
    dead = [one for one in rows if one.state is DeliveryState.DEAD]
    return Receiver(
        destination=destination.name,
        attempts=len(tries),
        failed=len(failures),
        last_failure=_why(failures, dead),
        took=measure([one.duration_ms / 1000 for one in tries]),
        dead=len(dead),
        open=sum(not one.state.ended for one in rows),
        untried_s=max((_age_s(one, window.now_ms) for one in untried), default=0.0),
        breaker=breaker.state.value if breaker and breaker.state is not BreakerState.CLOSED else "",
        paused=destination.paused,
    )


def _succeeded(attempt: AttemptRow) -> bool:
    if attempt.error:
        return False
    return attempt.status is None or attempt.status // 100 == SUCCESS


def _why(failures: Sequence[AttemptRow], dead: Sequence[DeliveryRow]) -> str:
    if failures:
        return failures[-1].error or f"HTTP {failures[-1].status}"
    return dead[0].reason if dead else ""


def _age_s(row: DeliveryRow, now_ms: int) -> float:
    due_at_ms = max(row.due_at_ms, ids.millis_of(row.id))
    return max(0.0, (now_ms - due_at_ms) / 1000)
