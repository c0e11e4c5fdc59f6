"""One destination in one worker: its lanes, and the attempts under way.

Whoever changes the lanes calls `pump`, which starts as many attempts as there is room for.
"""

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from comporta.destinations.http import HttpSender
from comporta.dispatch.lanes import Lanes
from comporta.dispatch.outcomes import Outcomes
from comporta.dispatch.routing import Outbound
from comporta.domain.delivery import (
    AttemptResult,
    Delivery,
    DeliveryState,
    Outcome,
    Verdict,
    judge,
)
from comporta.errors import StoreUnavailableError
from comporta.ledger.port import LaneKey, Ledger

HELD_MAX = 2_000
REFILL_LANES = 64
REFILL_EACH = 16
REFILL_PAUSE_S = 0.5
REMOVED = "the destination was removed from the fleet"
_log = structlog.get_logger(__name__)


class Desk:
    """What all outlets of a worker share."""

    def __init__(  # noqa: PLR0913  (a plain bundle)
        self,
        *,
        ledger: Ledger,
        sender: HttpSender,
        outcomes: Outcomes,
        tasks: asyncio.TaskGroup,
        concurrency: int,
        draw: Callable[[], float],
        now_ms: Callable[[], int],
        instance_name: Callable[[str], str],
        gone: Callable[[str], Coroutine[None, None, None]],
        observe: Callable[[Outcome, str], None],
    ) -> None:
        self.ledger, self.sender, self.outcomes, self.tasks = ledger, sender, outcomes, tasks
        self.concurrency, self.draw, self.now_ms = concurrency, draw, now_ms
        self.instance_name, self.gone, self.observe = instance_name, gone, observe


class Outlet:
    """A destination's lanes and attempts.

    Args:
        destination_id: whose.
        desk: what it shares with the others.
    """

    def __init__(self, destination_id: str, desk: Desk) -> None:
        self.lanes = Lanes(HELD_MAX)
        self.outbound: Outbound | None = None
        self._id = destination_id
        self._desk = desk
        self._in_flight = 0
        self._refilling = False
        self._timer: asyncio.TimerHandle | None = None

    def change(self, outbound: Outbound | None) -> None:
        """The fleet says this about the destination now; None: it is no longer in it."""
        self.outbound = outbound
        self.pump()

    def pump(self) -> None:
        """Start what can be started: attempts, a refill, and the timer for what is due later."""
        if self.outbound is not None and self.outbound.destination.disabled:
            return
        now_ms = self._desk.now_ms()
        due_at_ms = self.lanes.wake(now_ms)
        while self._in_flight < self._desk.concurrency and not self._desk.outcomes.full:
            delivery = self.lanes.next(now_ms)
            if delivery is None:
                break
            self._in_flight += 1
            self._desk.tasks.create_task(self._attempt(delivery))
        if not self._refilling and self._in_flight < self._desk.concurrency:
            wanted = self.lanes.hungry(self._id, REFILL_LANES)
            if wanted:
                self._refilling = True
                self._desk.tasks.create_task(self._refill(wanted))
        self._set_timer(due_at_ms, now_ms)

    def _set_timer(self, due_at_ms: int | None, now_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_at_ms is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0, due_at_ms - now_ms) / 1000, self.pump)

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            outbound = self.outbound
            if outbound is None:
                result = AttemptResult(self._desk.now_ms(), 0.0, error=REMOVED)
                verdict = Verdict(DeliveryState.DEAD, reason=REMOVED)
            else:
                name = self._desk.instance_name(delivery.instance_id)
                result = await self._desk.sender.send(outbound.endpoint, delivery, name)
                verdict = judge(
                    result, delivery.attempts + 1, outbound.destination.retry, self._desk.draw()
                )
        finally:
            self._in_flight -= 1
        self._conclude(Outcome(delivery, result, verdict))
        self.pump()

    def _conclude(self, outcome: Outcome) -> None:
        delivery, verdict = outcome.delivery, outcome.verdict
        if verdict.gone:
            self._desk.tasks.create_task(self._desk.gone(delivery.destination_id))
        if verdict.state in (DeliveryState.PENDING, DeliveryState.SCHEDULED):
            # Gone: nothing is sent until a person enables it, so "now" is soon enough.
            self.lanes.postponed(delivery, verdict.due_at_ms or self._desk.now_ms())
        else:
            self.lanes.finished(delivery)
        self._desk.outcomes.put(outcome)
        self._desk.observe(outcome, self._id)

    async def _refill(self, wanted: dict[LaneKey, int]) -> None:
        found: list[Delivery] = []
        try:
            found = await self._desk.ledger.refill(wanted, REFILL_EACH)
        except StoreUnavailableError as error:
            _log.error("lanes.not_refilled", error=str(error), lanes=len(wanted))
            await asyncio.sleep(REFILL_PAUSE_S)
            self.lanes.refilled(wanted, (), 0)  # asks again: none found, more assumed
        else:
            self.lanes.refilled(wanted, found, REFILL_EACH)
        finally:
            self._refilling = False
        self.pump()
