"""What the suites for ledgers share: events and outcomes to put in, and a ledger to play with."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

from comporta.domain.dedupe import keys_of
from comporta.domain.delivery import AttemptResult, Delivery, DeliveryState, Outcome, Verdict
from comporta.domain.event import Record
from comporta.ledger.port import (
    LaneKey,
    Ledger,
    NewEvent,
    Recorded,
    Target,
)
from comporta.testing.conformance.records import record

T = TypeVar("T")
NOW_MS = 1_795_500_000_000
WINDOW_S = 60.0
TOKEN = 7
CRM, BOT = Target("rte_1", "dst_crm"), Target("rte_2", "dst_bot")
LANE = 99
KEY = LaneKey(0, "dst_crm", LANE)
DELIVERED, DEAD = Verdict(DeliveryState.DELIVERED), Verdict(DeliveryState.DEAD, reason="HTTP 500")


def new_event(
    offset: int,
    one: Record | None = None,
    *,
    lane: int = LANE,
    targets: Sequence[Target] = (CRM,),
    learns: bool = False,
) -> NewEvent:
    one = one or record(body=b'{"n":%d}' % offset)
    delivery = one.header("x-chatwoot-delivery")
    keys = keys_of(one.source_id, one.event_type, delivery, one.body)
    return NewEvent(offset, one, one.account_id, lane, tuple(targets), learns, keys)


def outcome(one: Delivery, verdict: Verdict, status: int = 200) -> Outcome:
    return Outcome(one, AttemptResult(NOW_MS, 12.5, status, response=b"ok \xff"), verdict)


def later(one: Delivery, due_at_ms: int) -> Outcome:
    return outcome(one, Verdict(DeliveryState.SCHEDULED, due_at_ms, "HTTP 503"), 503)


class LedgerStage:
    """`folder` is a new place that outlives the ledgers that are made for it."""

    def opened(self, folder: Path) -> AbstractAsyncContextManager[Ledger]:
        """A ledger with a window of `WINDOW_S`; two of them share what is there."""
        raise NotImplementedError

    def play(self, folder: Path, story: Callable[[Ledger], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self.opened(folder) as ledger:
                await ledger.claim(0, TOKEN)
                return await story(ledger)

        return asyncio.run(run())

    async def put(
        self, ledger: Ledger, *events: NewEvent, now_ms: int = NOW_MS, token: int = TOKEN
    ) -> Recorded:
        tokens = {event.record.partition: token for event in events}
        return await ledger.record(tokens, events, now_ms)

    async def settle(
        self, ledger: Ledger, *outcomes: Outcome, tokens: Mapping[int, int] | None = None
    ) -> frozenset[int]:
        return await ledger.settle(tokens or {0: TOKEN}, outcomes, NOW_MS + 1_000)
