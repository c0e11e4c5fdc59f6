"""One destination in one worker: its lanes, and the attempts under way.

Whoever changes the lanes calls `pump`, which starts as many attempts as there is room for. There is
room as long as the destination's breaker and rate let through (`valve.py`), and as its concurrency
has free slots for that kind of traffic and that instance (`domain.fairness`).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine

import structlog
from structlog.contextvars import bound_contextvars

from comporta.dispatch.lanes import Lanes
from comporta.dispatch.lines import AttemptLines, context_of
from comporta.dispatch.outcomes import Outcomes
from comporta.dispatch.routing import Outbound
from comporta.dispatch.traced import Traced
from comporta.dispatch.valve import Valve
from comporta.domain.backoff import WAIT_S_MIN
from comporta.domain.classes import EPHEMERAL_TTL_S, EventClass
from comporta.domain.delivery import (
    AttemptResult,
    Climate,
    Delivery,
    DeliveryState,
    Ending,
    Outcome,
    Verdict,
    judge,
)
from comporta.domain.fairness import Share, Turns, slots
from comporta.errors import StoreUnavailableError
from comporta.ledger.port import REFILL_BYTES_MAX, LaneKey, Ledger
from comporta.state.port import State

HELD_MAX = 4_000
REFILL_LANES = 64
REFILL_EACH = 16
REFILL_PAUSE_S = 0.5
KNOWN_AFTER_MS = 2_000
"""A destination that is not in the fleet may be newer than the fleet that this process has seen."""
REMOVED = "the destination was removed from the fleet"
_log = structlog.get_logger(__name__)


class Desk:
    """What all outlets of a worker share."""

    def __init__(  # noqa: PLR0913  (a plain bundle)
        self,
        *,
        ledger: Ledger,
        state: State,
        outcomes: Outcomes,
        tasks: asyncio.TaskGroup,
        part_of: Callable[[int], int],
        concurrency: int,
        draw: Callable[[], float],
        now_ms: Callable[[], int],
        instance_name: Callable[[str], str],
        gone: Callable[[str], Coroutine[None, None, None]],
        observe: Callable[[Outcome, str], None],
        traced: Traced,
    ) -> None:
        self.ledger, self.state, self.outcomes, self.tasks = ledger, state, outcomes, tasks
        self.part_of, self.concurrency = part_of, concurrency
        self.draw, self.now_ms = draw, now_ms
        self.instance_name, self.gone, self.observe = instance_name, gone, observe
        self.traced = traced
        self.lines = AttemptLines()


class Slots:
    """How many attempts are under way, in all and by what they are for."""

    def __init__(self) -> None:
        self.taken = 0
        self._of_share = dict.fromkeys(Share, 0)
        self._of_instance: dict[str, int] = {}
        self._turns = Turns()
        self.change(1, 1)

    def change(self, limit: int, instance_limit: int) -> None:
        """So many at a time from now on, in all and for any one instance."""
        self.limit, self._instance_limit = limit, instance_limit
        self._limits = slots(limit)

    @property
    def free(self) -> int:
        """How many more may be started."""
        return self.limit - self.taken

    def may(self, instance_id: str) -> bool:
        """Whether one more may be started for this instance."""
        return self._of_instance.get(instance_id, 0) < self._instance_limit

    def choose(self, lanes: Lanes, now_ms: int) -> tuple[Delivery, Share] | None:
        """The next delivery for which there is a slot. It is taken then."""
        shares = [one for one in lanes.waiting() if self._of_share[one] < self._limits[one]]
        while shares:
            share = self._turns.next(shares)
            delivery = lanes.next(now_ms, share, self.may)
            if delivery is not None:
                self._count(delivery.instance_id, share, 1)
                return delivery, share
            shares.remove(share)
        return None

    def leave(self, instance_id: str, share: Share) -> None:
        """An attempt is over."""
        self._count(instance_id, share, -1)

    def _count(self, instance_id: str, share: Share, one: int) -> None:
        self.taken += one
        self._of_share[share] += one
        left = self._of_instance.get(instance_id, 0) + one
        if left:
            self._of_instance[instance_id] = left
        else:
            del self._of_instance[instance_id]


class Outlet:
    """A destination's lanes and attempts.

    Args:
        destination_id: whose.
        desk: what it shares with the others.
    """

    def __init__(self, destination_id: str, desk: Desk) -> None:
        self.lanes = Lanes(HELD_MAX)
        self.outbound: Outbound | None = None
        self.valve = Valve(destination_id, desk.state, desk.tasks, desk.now_ms, self.pump)
        self._id = destination_id
        self._desk = desk
        self._slots = Slots()
        self._refilling = False
        self._missing_at_ms = 0  # since when the fleet is without it
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lanes_waiting(self) -> int:
        """About how many lanes have something to deliver that is not under way."""
        return max(0, len(self.lanes) - self._slots.taken)

    def change(self, outbound: Outbound | None) -> None:
        """The fleet says this about the destination now; None: it is no longer in it."""
        if outbound is None and (self.outbound is not None or not self._missing_at_ms):
            self._missing_at_ms = self._desk.now_ms()
        self.outbound = outbound
        if outbound is not None:
            self.valve.change(outbound.destination.rate, outbound.destination.timeout_s)
        wanted = outbound.destination.concurrency if outbound else 0
        total = wanted or self._desk.concurrency
        for_one = outbound.destination.instance_concurrency if outbound else 0
        part = self._desk.part_of
        self._slots.change(part(total), part(for_one or total - total // 4))
        self.pump()

    def pump(self) -> None:
        """Start what can be started: attempts, a refill, and the timer for what is due later."""
        if self.outbound is not None and self.outbound.destination.paused:
            return
        now_ms = self._desk.now_ms()
        if self.outbound is None and 0 <= now_ms - self._missing_at_ms < KNOWN_AFTER_MS:
            self._set_timer(self._missing_at_ms + KNOWN_AFTER_MS, now_ms)
            return
        due_at_ms = self.lanes.wake(now_ms)
        self._start(now_ms)
        if not self._refilling and self._slots.free > 0:
            wanted = self.lanes.hungry(self._id, REFILL_LANES)
            if wanted:
                self._refilling = True
                self._desk.tasks.create_task(self._refill(wanted))
        if self.lanes.ready:
            again_at_ms = self.valve.again_at_ms(now_ms)
            if again_at_ms > now_ms:
                due_at_ms = min(again_at_ms, due_at_ms or again_at_ms)
        self._set_timer(due_at_ms, now_ms)

    def _start(self, now_ms: int) -> None:
        wanted = min(self._slots.free, self.lanes.ready)
        room = wanted if self.outbound is None else self.valve.room(now_ms, wanted)
        while room > 0 and not self._desk.outcomes.full:
            chosen = self._slots.choose(self.lanes, now_ms)
            if chosen is None:
                return
            delivery, share = chosen
            if _stale(delivery, now_ms):
                self._slots.leave(delivery.instance_id, share)
                self.drop(delivery, now_ms)
                continue
            room -= 1
            probe = self.outbound is not None and self.valve.enter()
            self._desk.tasks.create_task(self._attempt(delivery, share, probe=probe))

    def _set_timer(self, due_at_ms: int | None, now_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_at_ms is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0, due_at_ms - now_ms) / 1000, self.pump)

    async def _attempt(self, delivery: Delivery, share: Share, *, probe: bool) -> None:
        name = self._desk.instance_name(delivery.instance_id)
        # Not around `pump`: what it starts is about other deliveries.
        with bound_contextvars(**context_of(delivery, name)):
            self._conclude(await self._try(delivery, share, name, probe=probe))
        self.pump()

    async def _try(
        self, delivery: Delivery, share: Share, chatwoot: str, *, probe: bool
    ) -> Outcome:
        try:
            outbound = self.outbound
            if outbound is None:
                result = AttemptResult(self._desk.now_ms(), 0.0, error=REMOVED)
                return Outcome(delivery, result, Verdict(DeliveryState.DEAD, reason=REMOVED))
            sent, begun = self._desk.traced.begin(delivery)
            result = await outbound.send(sent, chatwoot)
            self.valve.saw(delivery, result, probe=probe)
            climate = Climate(not self.valve.closed, self.valve.streak.passed_at_ms)
            draw = 0.0 if result.succeeded else self._desk.draw()
            verdict = judge(delivery, result, outbound.patience, climate, draw)
            outcome = Outcome(delivery, result, verdict)
            self._desk.traced.ended(begun, outcome, outbound.destination.name, chatwoot)
            return outcome
        finally:
            self._slots.leave(delivery.instance_id, share)

    def _conclude(self, outcome: Outcome) -> None:
        delivery, verdict = outcome.delivery, outcome.verdict
        name = self.outbound.destination.name if self.outbound else self._id
        self._desk.lines.ended(outcome, name)
        if verdict.gone:
            self._desk.tasks.create_task(self._desk.gone(delivery.destination_id))
        if delivery.event_class is EventClass.EPHEMERAL:
            self._end_ephemeral(outcome)
            return
        if verdict.state.ended:
            self.lanes.finished(delivery)
        else:
            # Gone: nothing is sent until a person resumes it. Till all know that, it is spared.
            soon_ms = self._desk.now_ms() + int(WAIT_S_MIN * 1000)
            self.lanes.postponed(delivery, verdict.due_at_ms or soon_ms)
        self._desk.outcomes.put(outcome)
        self._desk.observe(outcome, self._id)

    def _end_ephemeral(self, outcome: Outcome) -> None:
        """It had its one attempt; nobody stores what became of it."""
        self.lanes.finished(outcome.delivery)
        if outcome.verdict.state is not DeliveryState.DELIVERED:
            verdict = Verdict(DeliveryState.DISCARDED, reason=outcome.verdict.reason)
            outcome = Outcome(outcome.delivery, outcome.result, verdict)
        self._desk.observe(outcome, self._id)

    def drop(self, delivery: Delivery, now_ms: int) -> None:
        """An ephemeral delivery comes to nothing: too late, or no room."""
        result = AttemptResult(now_ms, 0.0, error="not delivered in time", ending=Ending.DROPPED)
        verdict = Verdict(DeliveryState.DISCARDED, reason=result.error)
        self._end_ephemeral(Outcome(delivery, result, verdict))

    async def _refill(self, wanted: dict[LaneKey, int]) -> None:
        found: list[Delivery] = []
        try:
            found = await self._desk.ledger.refill(wanted, REFILL_EACH)
        except StoreUnavailableError as error:
            _log.error("lanes.not_refilled", error=str(error), lanes=len(wanted))
            await asyncio.sleep(REFILL_PAUSE_S)
            self.lanes.refilled(wanted, (), wanted)  # asks again: none found, more assumed
        else:
            self.lanes.refilled(wanted, found, _unfinished(wanted, found))
        finally:
            self._refilling = False
        self.pump()


def _unfinished(wanted: Collection[LaneKey], found: Collection[Delivery]) -> Collection[LaneKey]:
    """Of which lanes the ledger may have more."""
    if sum(len(one.body) for one in found) >= REFILL_BYTES_MAX:
        return wanted
    counts = Counter(LaneKey(one.partition, one.destination_id, one.lane) for one in found)
    return {key for key, count in counts.items() if count >= REFILL_EACH}


def _stale(delivery: Delivery, now_ms: int) -> bool:
    if delivery.event_class is not EventClass.EPHEMERAL:
        return False
    return now_ms - delivery.accepted_at_ms > EPHEMERAL_TTL_S * 1000
