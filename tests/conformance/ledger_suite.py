"""What every ledger must do, whatever database is behind it. Subclass it; say how one is made."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import pytest
from tests.support.records import record

from comporta.domain.delivery import AttemptResult, Delivery, DeliveryState, Outcome, Verdict
from comporta.domain.event import Record
from comporta.domain.fleet import Destination, Fleet
from comporta.domain.matching import Choice
from comporta.errors import ConflictError, FencedError
from comporta.ledger.port import (
    DeliveryFilter,
    EventFilter,
    LaneKey,
    Ledger,
    NewEvent,
    Recorded,
    Step,
)

T = TypeVar("T")
NOW_MS = 1_795_500_000_000
WINDOW_S = 60.0
TOKEN = 7
CRM, BOT = Choice("rte_1", "dst_crm"), Choice("rte_2", "dst_bot")
LANE = 99
KEY = LaneKey(0, "dst_crm", LANE)
DELIVERED, DEAD = Verdict(DeliveryState.DELIVERED), Verdict(DeliveryState.DEAD, reason="HTTP 500")


def new_event(
    offset: int,
    one: Record | None = None,
    *,
    lane: int = LANE,
    targets: Sequence[Choice] = (CRM,),
    learns: bool = False,
) -> NewEvent:
    one = one or record(body=b'{"n":%d}' % offset)
    return NewEvent(offset, one, one.account_id, lane, tuple(targets), learns)


def outcome(one: Delivery, verdict: Verdict, status: int = 200) -> Outcome:
    return Outcome(one, AttemptResult(NOW_MS, 12.5, status, response=b"ok \xff"), verdict)


def later(one: Delivery, due_at_ms: int) -> Outcome:
    return outcome(one, Verdict(DeliveryState.SCHEDULED, due_at_ms, "HTTP 503"), 503)


class LedgerSuite:
    """The tests. `folder` is a new place that outlives the ledgers that are made for it."""

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

    # Recording

    def test_a_batch_becomes_events_and_deliveries_in_order(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            batch = [new_event(n, targets=(CRM, BOT)) for n in (11, 12, 13)]
            recorded = await self.put(ledger, *batch)
            assert recorded.duplicates == 0
            ids = [one.id for one in recorded.deliveries]
            assert ids == sorted(set(ids))
            assert [one.destination_id for one in recorded.deliveries] == ["dst_crm", "dst_bot"] * 3
            first = recorded.deliveries[0]
            assert first.body == batch[0].record.body
            assert (first.partition, first.lane, first.attempts) == (0, LANE, 0)
            refilled = await ledger.refill({KEY: 0}, 10)
            assert refilled == [
                one for one in recorded.deliveries if one.destination_id == "dst_crm"
            ]

        self.play(folder, story)

    def test_what_was_recorded_is_not_recorded_again(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            batch = [new_event(n) for n in (11, 12, 13)]
            await self.put(ledger, *batch)
            again = await self.put(ledger, *batch, new_event(14))
            assert [one.body for one in again.deliveries] == [b'{"n":14}']
            assert again.duplicates == 0
            assert len(await ledger.events(EventFilter())) == 4
            assert (await ledger.claim(0, TOKEN)).offset == 14

        self.play(folder, story)

    def test_an_event_for_nobody_is_kept_and_moves_the_offset(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            recorded = await self.put(ledger, new_event(5, targets=()))
            assert recorded.deliveries == ()
            (row,) = await ledger.events(EventFilter())
            assert row.deliveries == 0
            assert (await ledger.claim(0, TOKEN)).offset == 5

        self.play(folder, story)

    @pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", b"{}" * 10, b"x" * (10 << 20)], ids=len)
    def test_bodies_and_headers_come_back_as_they_went_in(self, folder: Path, body: bytes) -> None:
        headers = (("x-chatwoot-delivery", "é\x80ÿ"), ("x-chatwoot-delivery", "twice"))

        async def story(ledger: Ledger) -> None:
            one = record(body=body, headers=headers, account_id=None)
            await self.put(ledger, new_event(1, one))
            (refilled,) = await ledger.refill({KEY: 0}, 1)
            assert refilled.body == body
            assert refilled.headers == headers
            detail = await ledger.event(refilled.event_id)
            assert detail is not None
            assert detail.body == body
            assert detail.headers == headers
            assert detail.row.body_bytes == len(body)

        self.play(folder, story)

    # Who may write

    def test_an_older_token_is_refused_and_writes_with_it_are_passed_over(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            await ledger.claim(0, TOKEN + 1)
            with pytest.raises(FencedError):
                await ledger.claim(0, TOKEN)
            recorded = await self.put(ledger, new_event(2))
            assert recorded.fenced == {0}
            assert recorded.deliveries == ()
            assert await self.settle(ledger, outcome(one, DELIVERED)) == {0}
            assert len(await ledger.events(EventFilter())) == 1
            assert await ledger.refill({KEY: 0}, 10) == [one]
            assert await ledger.attempts(one.id) == []

        self.play(folder, story)

    def test_a_fenced_partition_does_not_hold_up_the_others_of_its_batch(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            await ledger.claim(1, TOKEN)
            await ledger.claim(0, TOKEN + 1)
            recorded = await self.put(ledger, new_event(1), new_event(2, record(1, b'{"other":1}')))
            assert recorded.fenced == {0}
            assert [one.partition for one in recorded.deliveries] == [1]

        self.play(folder, story)

    def test_a_partition_that_nobody_claimed_is_fenced(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            recorded = await self.put(ledger, new_event(1, record(9)))
            assert recorded.fenced == {9}

        self.play(folder, story)

    # Repeats

    async def repeats(
        self, ledger: Ledger, first: Record, second: Record, after_s: float
    ) -> tuple[int, int]:
        """How many deliveries and repeats the second brought."""
        await self.put(ledger, new_event(1, first))
        now_ms = NOW_MS + int(after_s * 1000)
        recorded = await self.put(ledger, new_event(2, second), now_ms=now_ms)
        return len(recorded.deliveries), recorded.duplicates

    @pytest.mark.parametrize(
        ("after_s", "expected"), [(0, (0, 1)), (WINDOW_S, (0, 1)), (WINDOW_S + 0.002, (1, 0))]
    )
    def test_the_same_body_is_a_repeat_up_to_the_edge_of_the_window(
        self, folder: Path, after_s: float, expected: tuple[int, int]
    ) -> None:
        one, other = (
            record(body=b"{}", headers=(("x-chatwoot-delivery", name),)) for name in ("a", "b")
        )
        found = self.play(folder, lambda ledger: self.repeats(ledger, one, other, after_s))
        assert found == expected

    @pytest.mark.parametrize(
        ("after_s", "expected"), [(0, (0, 1)), (WINDOW_S, (0, 1)), (WINDOW_S + 0.002, (1, 0))]
    )
    def test_the_same_delivery_id_is_a_repeat_up_to_the_edge_of_the_window(
        self, folder: Path, after_s: float, expected: tuple[int, int]
    ) -> None:
        one, other = (
            record(body=body, headers=(("x-chatwoot-delivery", "a"),)) for body in (b"{}", b"[]")
        )
        found = self.play(folder, lambda ledger: self.repeats(ledger, one, other, after_s))
        assert found == expected

    @pytest.mark.parametrize(("after_s", "expected"), [(9.9, (0, 1)), (10.1, (1, 0))])
    def test_typing_repeats_only_within_its_short_window(
        self, folder: Path, after_s: float, expected: tuple[int, int]
    ) -> None:
        one = record(event_type="conversation_typing_on")
        found = self.play(folder, lambda ledger: self.repeats(ledger, one, one, after_s))
        assert found == expected

    @pytest.mark.parametrize(
        "other",
        [record(source_id="src_2"), record(event_type="message_updated"), record(body=b"[]")],
        ids=["source", "type", "body"],
    )
    def test_another_source_type_or_body_is_no_repeat(self, folder: Path, other: Record) -> None:
        found = self.play(folder, lambda ledger: self.repeats(ledger, record(), other, 0))
        assert found == (1, 0)

    def test_a_repeat_is_kept_and_names_the_first(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            await self.put(ledger, new_event(1, record()), new_event(2, record()))
            second, first = await ledger.events(EventFilter())
            assert second.duplicate_of == first.id
            assert (first.deliveries, second.deliveries) == (1, 0)

        self.play(folder, story)

    # Outcomes

    def test_an_outcome_is_kept_with_its_attempt(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            assert await self.settle(ledger, later(one, NOW_MS + 5_000)) == frozenset()
            (again,) = await ledger.refill({KEY: 0}, 1)
            assert (again.attempts, again.due_at_ms) == (1, NOW_MS + 5_000)
            await self.settle(ledger, outcome(again, DELIVERED))
            assert await ledger.refill({KEY: 0}, 1) == []
            (row,) = await ledger.deliveries(DeliveryFilter())
            assert (row.state, row.attempts) == (DeliveryState.DELIVERED, 2)
            tries = await ledger.attempts(one.id)
            assert [(a.number, a.status, a.response) for a in tries] == [
                (1, 503, b"ok \xff"),
                (2, 200, b"ok \xff"),
            ]

        self.play(folder, story)

    def test_totals_count_what_is_open_and_dead(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            totals = await ledger.totals()
            assert (totals.pending, totals.scheduled, totals.dead) == (0, 0, 0)
            assert totals.oldest_open_at_ms is None
            batch = [new_event(n) for n in range(1, 6)]
            made = (await self.put(ledger, *batch)).deliveries
            await self.settle(
                ledger,
                outcome(made[0], DELIVERED),
                outcome(made[1], DEAD, 500),
                later(made[2], NOW_MS + 9),
            )
            totals = await ledger.totals()
            assert (totals.pending, totals.scheduled, totals.dead) == (2, 1, 1)
            assert totals.oldest_open_at_ms == NOW_MS

        self.play(folder, story)

    # Taking over

    def test_a_claim_brings_open_lanes_with_when_their_heads_are_due(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            lanes = {1: NOW_MS + 700, 2: 0, 3: None}
            made = (
                await self.put(ledger, *[new_event(n, lane=n) for n in lanes], new_event(4, lane=1))
            ).deliveries
            await self.settle(ledger, later(made[0], NOW_MS + 700), outcome(made[2], DELIVERED))
            claim = await ledger.claim(0, TOKEN + 1)
            assert claim.offset == 4
            found = {lane.key: lane.due_at_ms for lane in claim.lanes}
            assert found == {
                LaneKey(0, "dst_crm", 1): NOW_MS + 700,
                LaneKey(0, "dst_crm", 2): 0,
            }

        self.play(folder, story)

    def test_a_refill_is_in_order_after_what_is_known_and_no_more_than_asked_for(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            other = LaneKey(0, "dst_crm", 5)
            events = [new_event(n, lane=LANE if n % 2 else 5) for n in range(1, 21)]
            made = (await self.put(ledger, *events)).deliveries
            mine = [one for one in made if one.lane == LANE]
            assert await ledger.refill({KEY: 0}, 3) == mine[:3]
            assert await ledger.refill({KEY: mine[2].id}, 100) == mine[3:]
            both = await ledger.refill({KEY: mine[8].id, other: 0}, 2)
            assert both[:1] == mine[9:]
            assert [one.lane for one in both] == [LANE, 5, 5]
            assert await ledger.refill({LaneKey(3, "dst_crm", LANE): 0}, 5) == []

        self.play(folder, story)

    def test_accounts_are_learned_per_source(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            assert await ledger.source_accounts() == {}
            await self.put(ledger, new_event(1, record(account_id=3), learns=True))
            await self.put(ledger, new_event(2, record(account_id=4, body=b"[]")))
            assert await ledger.source_accounts() == {"src_1": 3}

        self.play(folder, story)

    # People

    async def some_dead(self, ledger: Ledger, count: int) -> list[Delivery]:
        made = (await self.put(ledger, *[new_event(n) for n in range(1, count + 1)])).deliveries
        await self.settle(ledger, *[outcome(one, DEAD, 500) for one in made])
        return list(made)

    def test_a_redrive_puts_dead_letters_back_from_the_start_and_nudges_their_lanes(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            made = await self.some_dead(ledger, 5)
            after, lanes = await ledger.nudges(-1)
            assert lanes == []
            dead = DeliveryFilter(state=DeliveryState.DEAD, limit=3)
            step = await ledger.redrive(dead, NOW_MS)
            assert step == Step(3, made[2].id)
            after, lanes = await ledger.nudges(after)
            assert set(lanes) == {KEY}
            assert await ledger.nudges(after) == (after, [])
            refilled = await ledger.refill({KEY: 0}, 10)
            assert [(one.id, one.attempts, one.due_at_ms) for one in refilled] == [
                (one.id, 0, 0) for one in made[:3]
            ]
            await self.settle(ledger, outcome(refilled[0], DELIVERED))
            assert [a.number for a in await ledger.attempts(made[0].id)] == [1, 2]
            assert (await ledger.redrive(dead, NOW_MS)).done == 2
            assert (await ledger.redrive(dead, NOW_MS)).done == 0

        self.play(folder, story)

    def test_a_redrive_takes_dead_letters_only_and_only_what_was_asked_for(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            made = (
                await self.put(ledger, *[new_event(n, targets=(CRM, BOT)) for n in (1, 2)])
            ).deliveries
            await self.settle(
                ledger, *[outcome(one, DEAD, 500) for one in made[:3]], outcome(made[3], DELIVERED)
            )
            step = await ledger.redrive(DeliveryFilter(destination_id="dst_bot"), NOW_MS)
            assert step == Step(1, made[1].id)
            assert (await ledger.totals()).dead == 2

        self.play(folder, story)

    def test_a_replay_makes_new_deliveries_at_the_end_of_the_lane(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, new_event(1), new_event(2))).deliveries
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made])
            after, _lanes = await ledger.nudges(-1)
            step = await ledger.replay(DeliveryFilter(), NOW_MS + 50)
            assert step == Step(2, made[1].id)
            assert (await ledger.nudges(after))[1] == [KEY, KEY]
            again = await ledger.refill({KEY: 0}, 10)
            assert [one.event_id for one in again] == [one.event_id for one in made]
            assert again[0].id > made[1].id
            rows = await ledger.deliveries(DeliveryFilter(state=DeliveryState.PENDING))
            assert all(row.replay for row in rows)
            (newer,) = (await self.put(ledger, new_event(3))).deliveries
            assert newer.id > again[-1].id, "a replay's ids are taken"

        self.play(folder, story)

    def test_a_replay_goes_elsewhere_if_asked_and_is_not_replayed_itself(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            await self.settle(ledger, outcome(one, DELIVERED))
            await ledger.replay(DeliveryFilter(), NOW_MS, "dst_new")
            key = LaneKey(0, "dst_new", LANE)
            (copy,) = await ledger.refill({key: 0}, 10)
            assert copy.destination_id == "dst_new"
            await self.settle(ledger, outcome(copy, DELIVERED))
            assert await ledger.replay(DeliveryFilter(), NOW_MS) == Step(1, one.id)

        self.play(folder, story)

    def test_a_replay_in_steps_takes_each_delivery_once(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, *[new_event(n) for n in range(1, 8)])).deliveries
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made])
            after_id, done = None, []
            while True:
                step = await ledger.replay(DeliveryFilter(after_id=after_id, limit=3), NOW_MS)
                if not step.done:
                    break
                done.append(step.done)
                after_id = step.last_id
            assert done == [3, 3, 1]

        self.play(folder, story)

    def test_pruning_takes_old_finished_events_and_never_what_is_open_or_dead(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            made = (
                await self.put(
                    ledger, *[new_event(n) for n in range(1, 6)], new_event(6, targets=())
                )
            ).deliveries
            await self.settle(
                ledger,
                outcome(made[0], DELIVERED),
                outcome(made[1], DEAD, 500),
                later(made[2], NOW_MS + 5),
                outcome(made[3], DELIVERED),
            )
            (young,) = (await self.put(ledger, new_event(7), now_ms=NOW_MS + 9_000)).deliveries
            await self.settle(ledger, outcome(young, DELIVERED))
            before_ms = NOW_MS + 5_000
            assert await ledger.prune(before_ms, 2) == 2
            assert await ledger.prune(before_ms, 100) == 1
            assert await ledger.prune(before_ms, 100) == 0
            kept = {row.id for row in await ledger.events(EventFilter())}
            assert kept == {made[1].event_id, made[2].event_id, made[4].event_id, young.event_id}
            assert await ledger.event(made[0].event_id) is None
            assert await ledger.attempts(made[0].id) == []
            assert len(await ledger.refill({KEY: 0}, 10)) == 2

        self.play(folder, story)

    def test_events_are_listed_newest_first_filtered_and_paged(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            sent = [
                record(body=b"1"),
                record(body=b"2", event_type="contact_created", subject="contact:1"),
                record(body=b"3", instance_id="ins_2", subject="conversation:2"),
                record(body=b"4", subject="conversation:12"),
            ]
            for n, one in enumerate(sent, 1):
                await self.put(ledger, new_event(n, one), now_ms=NOW_MS + n)
            rows = await ledger.events(EventFilter())
            assert [row.body_bytes for row in rows] == [1] * 4
            ids = [row.id for row in rows]
            assert ids == sorted(ids, reverse=True)

            async def which(**asked: object) -> list[int]:
                found = await ledger.events(EventFilter(**asked))  # type: ignore[arg-type]
                return [len(ids) - ids.index(row.id) for row in found]

            assert await which(limit=2) == [4, 3]
            assert await which(before_id=ids[1], limit=2) == [2, 1]
            assert await which(instance_id="ins_2") == [3]
            assert await which(event_type="contact_created") == [2]
            assert await which(conversation_id=1) == [1]
            assert await which(since_ms=NOW_MS + 3) == [4, 3]
            assert await which(instance_id="nobody") == []
            assert await ledger.event(1) is None

        self.play(folder, story)

    def test_deliveries_are_listed_newest_first_filtered_paged_and_counted(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            sent = [record(body=b"1"), record(body=b"2", instance_id="ins_2"), record(body=b"3")]
            events = [new_event(n, one, targets=(CRM, BOT)) for n, one in enumerate(sent, 1)]
            made = (await self.put(ledger, *events)).deliveries
            await self.settle(ledger, outcome(made[0], DELIVERED), outcome(made[1], DEAD, 500))
            ids = [one.id for one in made]

            async def which(**asked: object) -> list[int]:
                asked_for = DeliveryFilter(**asked)  # type: ignore[arg-type]
                found = [ids.index(row.id) for row in await ledger.deliveries(asked_for)]
                if not {"limit", "before_id"} & set(asked):
                    assert await ledger.count(asked_for) == len(found)
                return found

            assert await which() == [5, 4, 3, 2, 1, 0]
            assert await which(limit=2) == [5, 4]
            assert await which(limit=2, before_id=ids[4]) == [3, 2]
            assert await which(state=DeliveryState.DEAD) == [1]
            assert await which(state=DeliveryState.DELIVERED) == [0]
            assert await which(destination_id="dst_crm") == [4, 2, 0]
            assert await which(instance_id="ins_2") == [3, 2]
            assert await which(event_id=made[4].event_id) == [5, 4]
            assert await which(delivery_id=ids[3]) == [3]
            assert await which(since_ms=NOW_MS + 1) == []

        self.play(folder, story)

    # The fleet

    def test_a_fleet_is_replaced_whole_and_only_by_its_next_version(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            assert await ledger.fleet_version() == 0
            assert await ledger.fleet() == Fleet()
            first = Fleet(1, destinations=(Destination("dst_1", "crm", "http://localhost/é"),))
            await ledger.replace_fleet(first, "cli:ana", "added crm")
            assert await ledger.fleet() == first
            for version in (0, 1, 3):
                with pytest.raises(ConflictError):
                    await ledger.replace_fleet(Fleet(version), "cli:bia", "too late")
            assert await ledger.fleet() == first
            await ledger.replace_fleet(Fleet(2), "cli:bia", "emptied")
            assert await ledger.fleet_version() == 2

        self.play(folder, story)

    def test_of_several_who_change_the_fleet_at_once_one_succeeds(self, folder: Path) -> None:
        async def run() -> None:
            async with self.opened(folder) as one, self.opened(folder) as other:
                results = await asyncio.gather(
                    *[
                        ledger.replace_fleet(Fleet(1), "cli:ana", "me")
                        for ledger in (one, other, one, other)
                    ],
                    return_exceptions=True,
                )
                assert sum(result is None for result in results) == 1
                assert sum(isinstance(result, ConflictError) for result in results) == 3

        asyncio.run(run())

    def test_what_one_writes_another_reads(self, folder: Path) -> None:
        async def run() -> None:
            async with self.opened(folder) as one, self.opened(folder) as other:
                await one.claim(0, TOKEN)
                await self.put(one, new_event(1))
                assert len(await other.events(EventFilter())) == 1
                assert (await other.claim(0, TOKEN + 1)).offset == 1

        asyncio.run(run())
