"""What every ledger must do for dispatch, whatever database is behind it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from comporta.domain.delivery import DeliveryState
from comporta.domain.event import Record
from comporta.errors import FencedError
from comporta.ledger.port import (
    DeliveryFilter,
    EventFilter,
    LaneKey,
    Ledger,
)
from comporta.testing.conformance.ledger_stage import (
    BOT,
    CRM,
    DEAD,
    DELIVERED,
    KEY,
    LANE,
    NOW_MS,
    TOKEN,
    WINDOW_S,
    LedgerStage,
    later,
    new_event,
    outcome,
)
from comporta.testing.conformance.records import record


class LedgerSuite(LedgerStage):
    """Recording, repeats, outcomes, taking over."""

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

    def test_a_partition_that_is_claimed_for_another_log_begins_anew(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            await self.put(ledger, new_event(5_000))
            assert (await ledger.claim(0, TOKEN)).offset == 5_000
            assert (await ledger.claim(0, TOKEN + 1, "kafka:events:1")).offset == 0
            await self.put(ledger, new_event(3), token=TOKEN + 1)
            assert (await ledger.claim(0, TOKEN + 2, "kafka:events:1")).offset == 3
            assert (await ledger.claim(1, TOKEN, "kafka:events:1")).offset == 0

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

    def test_a_repeat_is_known_to_every_later_owner_and_after_a_restart(self, folder: Path) -> None:
        first, second = (record(body=body) for body in (b"1", b"2"))

        async def run() -> list[int]:
            async with self.opened(folder) as mine:
                await mine.claim(0, 1)
                await self.put(mine, new_event(1, first), token=1)
                async with self.opened(folder) as other:
                    await other.claim(0, 2)
                    theirs = await self.put(
                        other, new_event(2, second), new_event(3, first), token=2
                    )
                await mine.claim(0, 3)
                again = await self.put(mine, new_event(4, first), new_event(5, second), token=3)
            async with self.opened(folder) as restarted:
                await restarted.claim(0, 4)
                late = await self.put(
                    restarted, new_event(6, second), new_event(7, first), new_event(8), token=4
                )
            return [one.duplicates for one in (theirs, again, late)]

        assert asyncio.run(run()) == [1, 2, 2]

    @pytest.mark.parametrize("restarts", [False, True])
    def test_a_repeat_does_not_make_the_window_longer(self, folder: Path, restarts: bool) -> None:
        times = [NOW_MS + int(WINDOW_S * 1000 * part) for part in (0, 0.6, 1.2)]

        async def run() -> list[int]:
            found = []
            async with AsyncExitStack() as stack:
                ledger = await stack.enter_async_context(self.opened(folder))
                for number, at_ms in enumerate(times, 1):
                    if restarts:
                        await stack.aclose()
                        ledger = await stack.enter_async_context(self.opened(folder))
                    token = number if restarts else 1
                    await ledger.claim(0, token)
                    recorded = await self.put(
                        ledger, new_event(number, record()), now_ms=at_ms, token=token
                    )
                    found.append(recorded.duplicates)
            return found

        assert asyncio.run(run()) == [0, 1, 0]

    def test_a_refill_stops_once_its_bodies_are_large_enough(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            bodies = [b"%d" % number * 100 for number in range(1, 6)]
            events = [new_event(n, record(body=body)) for n, body in enumerate(bodies, 1)]
            await self.put(ledger, *events)
            assert [one.body for one in await ledger.refill({KEY: 0}, 10, 250)] == bodies[:3]
            assert [one.body for one in await ledger.refill({KEY: 0}, 10, 1)] == bodies[:1]

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

    def test_an_outcome_of_an_earlier_lease_that_comes_late_does_not_open_again_what_has_ended(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            await self.settle(ledger, outcome(one, DELIVERED))
            await self.settle(ledger, later(one, NOW_MS + 5))
            await self.settle(ledger, outcome(one, DEAD, 500), outcome(one, DELIVERED))
            (row,) = await ledger.deliveries(DeliveryFilter())
            assert (row.state, row.due_at_ms) == (DeliveryState.DELIVERED, 0)
            assert await ledger.refill({KEY: 0}, 1) == []
            assert [a.number for a in await ledger.attempts(one.id)] == [1, 2, 3, 4]

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
