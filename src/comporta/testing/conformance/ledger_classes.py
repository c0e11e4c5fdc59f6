"""What every ledger must do with event classes: conflated, ephemeral, and routes that failed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comporta.domain.classes import EventClass
from comporta.domain.delivery import AttemptResult, Delivery, DeliveryState, Outcome, Verdict
from comporta.domain.event import Record
from comporta.domain.ids import show
from comporta.ledger.port import DeliveryFilter, EventFilter, Ledger, NewEvent
from comporta.testing.conformance.ledger_stage import (
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
from comporta.testing.conformance.records import record

CONFLATED = replace(CRM, event_class=EventClass.CONFLATED)
EPHEMERAL = replace(CRM, event_class=EventClass.EPHEMERAL)
FAILED = Verdict(DeliveryState.SCHEDULED, NOW_MS + 9, "HTTP 503")
VERDICTS = {"delivered": DELIVERED, "scheduled": FAILED, "dead": DEAD}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.lists(st.sampled_from("oab"), min_size=1, max_size=4)),
        st.just(("take", "")),
        st.tuples(st.just("settle"), st.sampled_from(["delivered", "scheduled", "dead"])),
    ),
    max_size=30,
)
"""Batches of ordered events (o) and conflated ones of two types (a, b); the head is taken for an
attempt; what was taken has its outcome, whatever was recorded meanwhile."""


def updated(number: int, event_type: str = "conversation_updated") -> Record:
    return record(body=b'{"n":%d}' % number, event_type=event_type)


def conflated(offset: int, event_type: str = "conversation_updated") -> NewEvent:
    return new_event(offset, updated(offset, event_type), targets=(CONFLATED,))


@dataclass
class Model:
    """A lane on paper. Events are numbered from 1, in order."""

    kinds: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    taken: list[Delivery] = field(default_factory=list)

    def record(self, kind: str) -> NewEvent:
        for index, state in enumerate(self.states):
            if kind != "o" and self.kinds[index] == kind and state in {"pending", "scheduled"}:
                self.states[index] = "discarded"
        self.kinds.append(kind)
        self.states.append("pending")
        number = len(self.kinds)
        if kind == "o":
            return new_event(number, updated(number, "message_created"))
        return conflated(number, f"{kind}_updated")

    def settle(self, one: Delivery, state: str) -> None:
        index = number_of(one) - 1
        if state == "delivered" or self.states[index] in {"pending", "scheduled"}:
            self.states[index] = state

    @property
    def open(self) -> list[int]:
        states = enumerate(self.states, 1)
        return [number for number, state in states if state in {"pending", "scheduled"}]


def number_of(one: Delivery) -> int:
    return int(one.body[len(b'{"n":') : -1])


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
            (row,) = await ledger.deliveries(DeliveryFilter(delivery_ids=(older.id,)))
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
            (row,) = await ledger.deliveries(DeliveryFilter(delivery_ids=(older.id,)))
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
            (row,) = await ledger.deliveries(DeliveryFilter(delivery_ids=(second.id,)))
            assert row.state is DeliveryState.DELIVERED

        self.play(folder, story)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.differing_executors,  # a class an engine
        ],
    )
    @given(steps=STEPS)
    @example(
        steps=[("record", ["a"]), ("take", ""), ("record", ["a"]), ("settle", "delivered")]
    ).via("under way when its newer one came")
    def test_ordered_ones_are_never_lost_and_of_conflated_ones_the_newest_arrives(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
    ) -> None:
        folder = tmp_path_factory.mktemp("classes")
        model = Model()

        async def story(ledger: Ledger) -> None:
            for what, detail in steps:
                if what == "record":
                    await self._record_kinds(ledger, model, detail)
                elif what == "take" and model.open:
                    model.taken += await ledger.refill({KEY: 0}, 1)
                elif what == "settle" and model.taken:
                    one = model.taken.pop(0)
                    model.settle(one, detail)
                    await self.settle(ledger, outcome(one, VERDICTS[detail]))
            refilled = await ledger.refill({KEY: 0}, 1000)
            assert [number_of(one) for one in refilled] == model.open
            rows = await ledger.deliveries(DeliveryFilter(limit=1000))
            assert [row.state.value for row in reversed(rows)] == model.states
            for kind in "ab":  # the newest of a type has its turn yet, or had it
                if kind in model.kinds:
                    newest = len(model.kinds) - 1 - model.kinds[::-1].index(kind)
                    assert model.states[newest] != "discarded"

        self.play(folder, story)

    async def _record_kinds(self, ledger: Ledger, model: Model, kinds: list[str]) -> None:
        before = set(model.open)
        recorded = await self.put(ledger, *[model.record(kind) for kind in kinds])
        mine = [number for number in model.open if number not in before]
        assert [number_of(one) for one in recorded.deliveries] == mine
        assert len(recorded.superseded) == len(before - set(model.open))

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

    def test_a_route_that_failed_on_an_ephemeral_event_leaves_a_dead_letter_with_its_event(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            typing = record(body=b'{"on":1}', event_type="conversation_typing_on")
            failed = replace(EPHEMERAL, error="KeyError: 1")
            recorded = await self.put(ledger, new_event(1, typing, targets=(failed,)))
            assert recorded.deliveries == ()
            (row,) = await ledger.deliveries(DeliveryFilter(state=DeliveryState.DEAD))
            assert row.event_type == "conversation_typing_on"
            assert (await ledger.totals()).dead == 1
            event = await ledger.event(row.event_id)
            assert event is not None
            assert event.body == typing.body

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
