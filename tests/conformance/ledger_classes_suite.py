"""What every ledger must do with event classes: conflated, ephemeral, and routes that failed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.conformance.ledger_stage import (
    BOT,
    CRM,
    DEAD,
    DELIVERED,
    KEY,
    LANE,
    NOW_MS,
    TOKEN,
    LedgerStage,
    later,
    new_event,
    outcome,
)
from tests.support.records import record

from comporta.domain.classes import EventClass
from comporta.domain.delivery import AttemptResult, Delivery, DeliveryState, Outcome, Verdict
from comporta.domain.event import Record
from comporta.domain.ids import show
from comporta.ledger.port import DeliveryFilter, EventFilter, Ledger, NewEvent

CONFLATED = replace(CRM, event_class=EventClass.CONFLATED)
EPHEMERAL = replace(CRM, event_class=EventClass.EPHEMERAL)
FAILED = Verdict(DeliveryState.SCHEDULED, NOW_MS + 9, "HTTP 503")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.lists(st.sampled_from("oab"), min_size=1, max_size=4)),
        st.tuples(st.just("settle"), st.sampled_from(["delivered", "scheduled", "dead"])),
    ),
    max_size=25,
)
"""Batches of ordered events (o) and conflated ones of two types (a, b); outcomes of the head."""


def updated(number: int, event_type: str = "conversation_updated") -> Record:
    return record(body=b'{"n":%d}' % number, event_type=event_type)


def conflated(offset: int, event_type: str = "conversation_updated") -> NewEvent:
    return new_event(offset, updated(offset, event_type), targets=(CONFLATED,))


@dataclass
class Model:
    """What a ledger with one lane should hold."""

    open: list[tuple[int, str]] = field(default_factory=list)
    ordered: list[int] = field(default_factory=list)
    ended: dict[int, str] = field(default_factory=dict)

    def record(self, number: int, kind: str) -> None:
        if kind != "o":
            for one in [one for one in self.open if one[1] == kind]:
                self.open.remove(one)
                self.ended[one[0]] = "discarded"
        self.open.append((number, kind))


class LedgerClassesSuite(LedgerStage):
    """Conflation, events that are not stored, deliveries that are dead from the start."""

    # Conflated

    def test_a_newer_conflated_delivery_takes_the_place_of_one_that_waits(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            (older,) = (await self.put(ledger, conflated(1))).deliveries
            recorded = await self.put(ledger, new_event(2), conflated(3))
            assert [(one.key, one.delivery_id) for one in recorded.superseded] == [(KEY, older.id)]
            message, newer = recorded.deliveries
            refilled = await ledger.refill({KEY: 0}, 10)
            assert [one.id for one in refilled] == [message.id, newer.id]
            assert refilled[1].event_class is EventClass.CONFLATED
            (row,) = await ledger.deliveries(DeliveryFilter(delivery_id=older.id))
            assert row.state is DeliveryState.DISCARDED
            assert row.reason == f"superseded by {show('dlv', newer.id)}"

        self.play(folder, story)

    def test_within_a_batch_only_the_newest_of_a_type_is_to_be_delivered(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            batch = [conflated(1), conflated(2, "contact_updated"), conflated(3), conflated(4)]
            recorded = await self.put(ledger, *batch)
            assert [one.body for one in recorded.deliveries] == [b'{"n":2}', b'{"n":4}']
            assert recorded.superseded == ()
            assert len(await ledger.events(EventFilter())) == 4
            assert await ledger.count(DeliveryFilter(state=DeliveryState.DISCARDED)) == 2

        self.play(folder, story)

    def test_what_waits_for_another_destination_or_lane_is_not_touched(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            both = (CONFLATED, replace(BOT, event_class=EventClass.CONFLATED))
            await self.put(ledger, new_event(1, updated(1), targets=both))
            other = new_event(2, updated(2), lane=LANE + 1, targets=(CONFLATED,))
            recorded = await self.put(ledger, other, conflated(3))
            assert [one.key.destination_id for one in recorded.superseded] == ["dst_crm"]
            assert await ledger.count(DeliveryFilter(state=DeliveryState.PENDING)) == 3

        self.play(folder, story)

    def test_what_has_ended_is_not_superseded(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            (older,) = (await self.put(ledger, conflated(1))).deliveries
            await self.settle(ledger, outcome(older, DELIVERED))
            assert (await self.put(ledger, conflated(2))).superseded == ()
            (row,) = await ledger.deliveries(DeliveryFilter(delivery_id=older.id))
            assert row.state is DeliveryState.DELIVERED

        self.play(folder, story)

    def test_an_outcome_does_not_revive_what_was_superseded_meanwhile_but_a_delivery_is_true(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            (first,) = (await self.put(ledger, conflated(1))).deliveries
            (second,) = (await self.put(ledger, conflated(2))).deliveries
            await self.settle(ledger, later(first, NOW_MS + 5_000))
            assert [one.id for one in await ledger.refill({KEY: 0}, 10)] == [second.id]
            assert len(await ledger.attempts(first.id)) == 1
            await self.put(ledger, conflated(3))
            await self.settle(ledger, outcome(second, DELIVERED))
            (row,) = await ledger.deliveries(DeliveryFilter(delivery_id=second.id))
            assert row.state is DeliveryState.DELIVERED

        self.play(folder, story)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(steps=STEPS)
    def test_ordered_ones_are_never_lost_and_of_conflated_ones_the_newest_arrives(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
    ) -> None:
        folder = tmp_path_factory.mktemp("classes")
        model = Model()

        async def story(ledger: Ledger) -> None:
            number = 0
            for what, detail in steps:
                if what == "record":
                    batch = []
                    for kind in detail:
                        number += 1
                        model.record(number, kind)
                        batch.append(
                            new_event(number, updated(number, "message_created"))
                            if kind == "o"
                            else conflated(number, f"{kind}_updated")
                        )
                    await self.put(ledger, *batch)
                elif model.open:
                    (head, *_rest) = await ledger.refill({KEY: 0}, 1)
                    await self._settle_head(ledger, model, head, detail)
            refilled = await ledger.refill({KEY: 0}, 1000)
            wanted = [b'{"n":%d}' % one for one, _kind in model.open]
            assert [one.body for one in refilled] == wanted
            rows = await ledger.deliveries(DeliveryFilter(limit=1000))
            states = sorted(row.state.value for row in rows if row.settled_at_ms)
            assert states == sorted(model.ended.values())

        self.play(folder, story)

    async def _settle_head(self, ledger: Ledger, model: Model, head: Delivery, state: str) -> None:
        verdicts = {"delivered": DELIVERED, "dead": DEAD, "scheduled": FAILED}
        await self.settle(ledger, outcome(head, verdicts[state]))
        if state != "scheduled":
            number, _kind = model.open.pop(0)
            assert head.body == b'{"n":%d}' % number
            model.ended[number] = state

    # Ephemeral

    def test_an_ephemeral_event_is_handed_on_and_nothing_of_it_is_stored(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            typing = record(body=b'{"on":1}', event_type="conversation_typing_on")
            recorded = await self.put(ledger, new_event(5, typing, targets=(EPHEMERAL,)))
            (delivery,) = recorded.deliveries
            assert delivery.event_class is EventClass.EPHEMERAL
            assert delivery.body == typing.body
            assert await ledger.events(EventFilter()) == []
            assert await ledger.deliveries(DeliveryFilter()) == []
            claim = await ledger.claim(0, TOKEN)
            assert (claim.offset, claim.lanes) == (5, ())
            again = await self.put(ledger, new_event(6, typing, targets=(EPHEMERAL,)))
            assert again.duplicates == 0
            assert again.deliveries[0].id > delivery.id

        self.play(folder, story)

    def test_an_ephemeral_event_for_nobody_is_not_stored_either(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            typing = record(event_type="conversation_typing_off")
            await self.put(ledger, new_event(5, typing, targets=()))
            assert await ledger.events(EventFilter()) == []
            assert (await ledger.claim(0, TOKEN)).offset == 5

        self.play(folder, story)

    def test_an_event_that_one_destination_wants_in_order_is_stored_for_that_one(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            typing = record(event_type="conversation_typing_on")
            recorded = await self.put(ledger, new_event(5, typing, targets=(EPHEMERAL, BOT)))
            assert len(recorded.deliveries) == 2
            (row,) = await ledger.deliveries(DeliveryFilter())
            assert row.destination_id == "dst_bot"

        self.play(folder, story)

    # Routes that failed

    def test_a_delivery_whose_route_failed_is_dead_from_the_start_with_the_traceback(
        self, folder: Path
    ) -> None:
        error = "Traceback (most recent call last):\n  File …\nKeyError: 'é'\n"

        async def story(ledger: Ledger) -> None:
            failed = replace(CRM, error=error)
            recorded = await self.put(ledger, new_event(1, targets=(failed, BOT)))
            assert [one.destination_id for one in recorded.deliveries] == ["dst_bot"]
            (row,) = await ledger.deliveries(DeliveryFilter(state=DeliveryState.DEAD))
            assert row.reason == "KeyError: 'é'"
            (attempt,) = await ledger.attempts(row.id)
            assert attempt.response.decode() == error
            assert await ledger.refill({KEY: 0}, 10) == []

        self.play(folder, story)

    # Attempts

    def test_an_attempt_that_does_not_count_is_kept_and_uses_nothing_up(self, folder: Path) -> None:
        free = Verdict(DeliveryState.SCHEDULED, NOW_MS + 9, "HTTP 503", counts=False)

        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            first = Outcome(one, AttemptResult(NOW_MS + 3, 1.0, 503), free)
            await self.settle(ledger, first)
            (again,) = await ledger.refill({KEY: 0}, 1)
            assert (again.attempts, again.tried_at_ms) == (0, NOW_MS + 3)
            second = Outcome(again, AttemptResult(NOW_MS + 7, 1.0, 503), FAILED)
            await self.settle(ledger, second)
            (again,) = await ledger.refill({KEY: 0}, 1)
            assert (again.attempts, again.tried_at_ms) == (1, NOW_MS + 3)
            assert [row.number for row in await ledger.attempts(one.id)] == [1, 2]

        self.play(folder, story)

    def test_a_new_owner_learns_whose_events_wait_in_a_lane(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            await self.put(ledger, new_event(1))
            (lane,) = (await ledger.claim(0, TOKEN)).lanes
            assert lane.instance_id == record().instance_id

        self.play(folder, story)
