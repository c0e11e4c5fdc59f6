"""The dispatch of one worker: owns partitions, takes their events over, runs their lanes.

It is one of the two supervisors of the house: what fails on the way (a store that is away, a lost
lease) is logged, waited for and done again; what was acknowledged stays in the log or the ledger.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

import structlog

from comporta.chatwoot.fields import fields_of
from comporta.chatwoot.meaning import meaning_of
from comporta.clock import now_ms
from comporta.dispatch.counting import Counting
from comporta.dispatch.outcomes import Outcomes
from comporta.dispatch.outlet import Desk, Outlet
from comporta.dispatch.partitions import Partitions
from comporta.dispatch.routing import Routing
from comporta.dispatch.slots import Slots
from comporta.dispatch.traced import Traced
from comporta.domain.breaker import CLOSED
from comporta.domain.dedupe import keys_of
from comporta.domain.delivery import Outcome
from comporta.domain.partitioning import lane_of
from comporta.errors import StoreError, StoreUnavailableError
from comporta.ledger.port import Claim, LaneKey, Ledger, NewEvent, Target
from comporta.log.port import Entry, Log
from comporta.state.port import State, WorkerRow
from comporta.telemetry.spans import Spans
from comporta.telemetry.spells import Spell
from comporta.telemetry.tally import Tally

BATCH_EVENTS = 256
BATCH_BYTES = 8 * 1024 * 1024
POLL_S = 0.02
LINGER_S = 0.01
REST = 1.0
"""While there is a backlog: pauses, as a multiple of the time at work."""
PAUSE_S = 0.5
NUDGE_PERIOD_S = 0.5
BREAKER_PERIOD_S = 0.25
_log = structlog.get_logger(__name__)


class Dispatcher:
    """See the module. `run` until cancelled, then `drain`.

    Args:
        log, ledger, state: opened.
        routing: the compiled fleet at the time of the call.
        gone: called with the id of a destination that answered 410.
        server: the name of this server, for people.
        pid: of the worker process that it belongs to, for people.
        lease_s: how long a partition stays with a worker that is not heard of, seconds.
        concurrency: attempts at a time to one destination, over all workers, if it says nothing.
        tally: what is counted.
        spans: where traced events go; None: nothing is traced.
    """

    def __init__(  # noqa: PLR0913  (the composition root gives it all it needs, by name)
        self,
        *,
        log: Log,
        ledger: Ledger,
        state: State,
        routing: Callable[[], Routing],
        gone: Callable[[str], Coroutine[None, None, None]],
        server: str,
        pid: int,
        lease_s: float,
        concurrency: int,
        tally: Tally,
        spans: Spans | None = None,
    ) -> None:
        self._log, self._ledger, self._state = log, ledger, state
        self._routing, self._gone = routing, gone
        self._concurrency, self._tally = concurrency, tally
        self._counting = Counting(tally, routing)
        id_, started_at_ms = f"wrk_{secrets.token_hex(5)}", now_ms()
        self._partitions = Partitions(
            log=log,
            ledger=ledger,
            state=state,
            me=lambda owned: WorkerRow(id_, pid, started_at_ms, now_ms(), owned, server),
            lease_s=lease_s,
            lanework=self,
            now_ms=now_ms,
        )
        self._outlets: dict[str, Outlet] = {}
        self._accounts: dict[str, int] = {}
        self._accounts_known = False
        self._outcomes = Outcomes(
            ledger, lambda: self._partitions.tokens, now_ms, self._settled, self._partitions.lose
        )
        self._slots = Slots(ledger.watching)
        self._changed = asyncio.Event()
        self._traced = Traced(spans)
        self._desk: Desk

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._desk = Desk(
                ledger=self._ledger,
                state=self._state,
                outcomes=self._outcomes,
                tasks=tasks,
                part_of=self._partitions.part_of,
                concurrency=self._concurrency,
                draw=lambda: secrets.randbelow(1_000_000) / 1_000_000,
                now_ms=now_ms,
                instance_name=lambda id_: self._routing().instances.get(id_, id_),
                gone=self._gone,
                observe=self._attempted,
                traced=self._traced,
            )
            tasks.create_task(self._partitions.keep())
            tasks.create_task(self._take_over())
            tasks.create_task(self._outcomes.run())
            tasks.create_task(self._slots.run())
            tasks.create_task(self._watch_people())
            tasks.create_task(self._watch_breakers())

    async def drain(self, within_s: float) -> None:
        """Start nothing new; wait for what is under way; hand everything over."""
        await self._partitions.drain(within_s)
        await self._slots.flush()

    def look(self) -> None:
        """Tell the tally what waits, for whoever reads it next."""
        self._counting.waiting(self._outlets.values(), self._outcomes)

    def fleet_changed(self) -> None:
        """There is a new routing: destinations may have changed."""
        self._changed.set()

    # Partitions

    def partition_won(self, claim: Claim) -> None:
        """See `Lanework`."""
        self._accounts_known = False  # its last owner may have learned some
        for lane in claim.lanes:
            outlet = self._outlet(lane.key.destination_id)
            key = lane.key
            outlet.lanes.open(key.partition, key.lane, lane.due_at_ms, lane.instance_id)
        self._pump_all()
        self._tally.partitions_owned.set(len(self._partitions.tokens))

    def workers_changed(self) -> None:
        """See `Lanework`."""
        self.fleet_changed()

    def partition_stopped(self, partition: int) -> None:
        """See `Lanework`."""
        for outlet in self._outlets.values():
            outlet.lanes.stop(partition)

    def partitions_active(self) -> set[int]:
        """See `Lanework`."""
        return set().union(*(outlet.lanes.active() for outlet in self._outlets.values()))

    def partition_lost(self, partition: int) -> None:
        """See `Lanework`."""
        for outlet in self._outlets.values():
            outlet.lanes.drop(partition)
        self._tally.partitions_owned.set(len(self._partitions.tokens))

    # From the log into the ledger

    async def _take_over(self) -> None:
        spell = Spell(_log, "events.not_recorded", "events.recorded_again")
        while True:
            began = time.monotonic()
            try:
                taken = await self._take_batch()
            except StoreError as error:
                spell.failed(error)
                await asyncio.sleep(PAUSE_S)
                continue
            spell.worked()
            if not taken:
                await self._log.wait(POLL_S)
            if taken < BATCH_EVENTS:
                # Gather: a transaction costs about as much for ten events as for one.
                await asyncio.sleep(LINGER_S)
            else:
                # More comes in than is taken over: intake goes first, for what is in the log can
                # wait and a Chatwoot cannot.
                await asyncio.sleep(REST * (time.monotonic() - began))

    async def _take_batch(self) -> int:
        """Take one batch over; how many events it had."""
        partitions = self._partitions
        positions, tokens = dict(partitions.positions), dict(partitions.tokens)
        if not positions:
            await self._log.read({}, 0, 0)  # so that others get what it held for this worker
            return 0
        if not self._accounts_known:
            self._accounts |= await self._ledger.source_accounts()
            self._accounts_known = True
        batch = await self._log.read(positions, BATCH_EVENTS, BATCH_BYTES)
        began = time.perf_counter()
        if batch.entries:
            events = [self._prepare(entry) for entry in batch.entries]
            await self._record(events, tokens)
            self._traced.events(events, self._routing().instances, began)
        partitions.advance(batch.reached, tokens)
        await self._log.commit(dict(partitions.positions))
        return len(batch.entries)

    async def _record(self, events: list[NewEvent], tokens: dict[int, int]) -> None:
        mine = {event.record.partition for event in events}
        recorded = await self._ledger.record({p: tokens[p] for p in mine}, events, now_ms())
        for partition in recorded.fenced:
            self._partitions.lose(partition)
        self._counting.recorded(events, recorded)
        self._slots.events([e for e in events if e.record.partition not in recorded.fenced])
        touched = set()
        for old in recorded.superseded:
            lanes = self._outlet(old.key.destination_id).lanes
            lanes.superseded(old.key.partition, old.key.lane, old.delivery_id)
        for delivery in recorded.deliveries:
            if self._partitions.tokens.get(delivery.partition) == tokens[delivery.partition]:
                outlet = self._outlet(delivery.destination_id)
                if not outlet.lanes.offer(delivery):
                    outlet.drop(delivery, now_ms())
                touched.add(outlet)
        for outlet in touched:
            outlet.pump()

    def _prepare(self, entry: Entry) -> NewEvent:
        record = entry.record
        account_id, learns = record.account_id, False
        if account_id is None:
            account_id = self._accounts.get(record.source_id)
        elif self._accounts.get(record.source_id) != account_id:
            self._accounts[record.source_id], learns = account_id, True
        routing = self._routing()
        choices = routing.routes.choose(
            record.instance_id, record.event_type, lambda: fields_of(record.body)
        )
        targets = tuple(
            Target(
                one.route_id,
                one.destination_id,
                routing.class_of(one.destination_id, record.event_type),
                one.error,
            )
            for one in choices
        )
        lane = lane_of(record.instance_id, account_id, record.subject)
        delivery = record.header("x-chatwoot-delivery")
        meaning = meaning_of(record.event_type, record.body)
        keys = keys_of(record.source_id, record.event_type, delivery, meaning, record.uid)
        return NewEvent(entry.offset, record, account_id, lane, targets, learns, keys)

    # Lanes

    def _outlet(self, destination_id: str) -> Outlet:
        outlet = self._outlets.get(destination_id)
        if outlet is None:
            outlet = self._outlets[destination_id] = Outlet(destination_id, self._desk)
            outlet.change(self._routing().outbound.get(destination_id))
        return outlet

    def _attempted(self, outcome: Outcome, destination_id: str) -> None:
        self._slots.attempt(outcome)
        self._counting.attempted(outcome, destination_id)

    def _settled(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            outlet = self._outlet(outcome.delivery.destination_id)
            outlet.lanes.settled(outcome.delivery)
        # All of them: while too many outcomes waited, none could start anything.
        self._pump_all()

    def _pump_all(self) -> None:
        for outlet in self._outlets.values():
            outlet.pump()

    async def _watch_people(self) -> None:
        """Do as people did, in their order: what they discarded is known before what they resumed.

        Whatever was done to deliveries before a change of the fleet that is seen here, is among the
        nudges that are read after it.
        """
        after = -1
        spell = Spell(_log, "nudges.not_read", "nudges.read_again")
        while True:
            routing = self._routing() if self._changed.is_set() else None
            self._changed.clear()
            try:
                after, lanes = await self._ledger.nudges(after)
            except StoreUnavailableError as error:
                spell.failed(error)
                if routing is not None:
                    self._changed.set()
                await asyncio.sleep(NUDGE_PERIOD_S)
                continue
            spell.worked()
            self._nudge(lanes)
            if routing is not None:
                for destination_id, outlet in self._outlets.items():
                    outlet.change(routing.outbound.get(destination_id))
            with suppress(TimeoutError):
                async with asyncio.timeout(NUDGE_PERIOD_S):
                    await self._changed.wait()

    async def _watch_breakers(self) -> None:
        spell = Spell(_log, "breakers.not_read", "breakers.read_again")
        while True:
            changes = {id_: outlet.valve.changes for id_, outlet in self._outlets.items()}
            try:
                found = await self._state.breakers()
            except StoreUnavailableError as error:
                spell.failed(error)
            else:
                spell.worked()
                for id_, before in changes.items():
                    self._outlets[id_].valve.learn(found.get(id_, CLOSED), before)
            await asyncio.sleep(BREAKER_PERIOD_S)

    def _nudge(self, lanes: list[LaneKey]) -> None:
        for key in lanes:
            if key.partition in self._partitions.tokens:
                outlet = self._outlet(key.destination_id)
                outlet.lanes.open(key.partition, key.lane)
                outlet.pump()
