"""What dispatch tells the tally: what was taken over, what attempts brought, what waits.

It only counts. Names of instances and destinations come from the fleet; what the fleet does not
know any more is counted as "other", for an id is never a label.
"""

from collections.abc import Callable, Collection, Sequence

from comporta.chatwoot.birth import born_at_ms
from comporta.dispatch.outcomes import HIGH_WATER, Outcomes
from comporta.dispatch.outlet import HELD_MAX, Outlet
from comporta.dispatch.routing import Routing
from comporta.domain.delivery import DeliveryState, Outcome
from comporta.domain.event import Record
from comporta.ledger.port import NewEvent, Recorded
from comporta.telemetry.metric_defs import OTHER
from comporta.telemetry.tally import Tally

_DIGITS_MAX = 12
DELIVERIES, OUTCOMES = ("deliveries",), ("outcomes",)


class Counting:
    """The counts of one dispatcher.

    Args:
        tally: where they go.
        routing: the compiled fleet at the time of the call.
    """

    def __init__(self, tally: Tally, routing: Callable[[], Routing]) -> None:
        self._tally, self._routing = tally, routing

    def recorded(self, events: Sequence[NewEvent], found: Recorded) -> None:
        """A batch is in the ledger."""
        tally = self._tally
        tally.events_recorded.add((), len(events))
        for instance_id, repeats in found.repeats.items():
            tally.events_duplicate.add((self._instance(instance_id),), repeats)
        for destination_id, dead in found.dead.items():
            tally.dead_letters.add((self._destination(destination_id),), dead)
        for event in events:
            if event.record.partition not in found.fenced:
                self._arrived(event.record)

    def _arrived(self, record: Record) -> None:
        """How long it took to get here, by both clocks."""
        born_ms = born_at_ms(record.event_type, record.body)
        at_s = record.accepted_at_ms / 1000
        if born_ms is not None:
            # A Chatwoot whose clock is ahead sends nothing before its time.
            lag_s = max(0.0, at_s - born_ms / 1000)
            self._tally.chatwoot_lag.observe(lag_s, (self._instance(record.instance_id),))
        signed = record.header("x-chatwoot-timestamp") if record.verified else ""
        if signed.isascii() and signed.isdigit() and len(signed) <= _DIGITS_MAX:
            instance = (self._instance(record.instance_id),)
            self._tally.clock_offset.set(at_s - int(signed), at_s, instance)

    def attempted(self, outcome: Outcome, destination_id: str) -> None:
        """An attempt has come to its end."""
        name = self._destination(destination_id)
        result, state, tally = outcome.result, outcome.verdict.state, self._tally
        tally.deliveries.add((name, state.value))
        tally.attempt_seconds.observe(result.duration_ms / 1000, (name, state.value))
        # In an outage an attempt is not spent, but it was one.
        if outcome.delivery.attempts or outcome.delivery.tried_at_ms:
            tally.retries.add((name,))
        if state is DeliveryState.DEAD:
            tally.dead_letters.add((name,))
        if state is DeliveryState.DELIVERED:
            ended_at_ms = result.started_at_ms + result.duration_ms
            lag_s = (ended_at_ms - outcome.delivery.accepted_at_ms) / 1000
            tally.delivery_lag_seconds.observe(lag_s, (name,))

    def waiting(self, outlets: Collection[Outlet], outcomes: Outcomes) -> None:
        """What is held in memory right now."""
        tally = self._tally
        tally.lanes_waiting.set(sum(one.lanes_waiting for one in outlets))
        tally.queue_depth.set(sum(one.lanes.held for one in outlets), DELIVERIES)
        tally.queue_high_water.set(HELD_MAX * len(outlets), DELIVERIES)
        tally.queue_depth.set(len(outcomes), OUTCOMES)
        tally.queue_high_water.set(HIGH_WATER, OUTCOMES)

    def _instance(self, id_: str) -> str:
        return self._routing().instances.get(id_, OTHER)

    def _destination(self, id_: str) -> str:
        outbound = self._routing().outbound.get(id_)
        return outbound.destination.name if outbound else OTHER
