"""What every ledger must forget, and what it must not, whatever database is behind it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from comporta.domain.delivery import Delivery, DeliveryState
from comporta.domain.growth import SAMPLES_MAX, Sample
from comporta.ledger.keeping import OPERATIONS_MAX, Kept, Measure
from comporta.ledger.port import Bulk, DeliveryFilter, EventFilter, Ledger, Operation, Target
from comporta.ledger.retention import DAY_MS, SPAN_MS, Limit, Limits, Retention
from comporta.testing.conformance.ledger_stage import (
    BOT,
    CRM,
    DEAD,
    DELIVERED,
    KEY,
    NOW_MS,
    TOKEN,
    LedgerStage,
    later,
    new_event,
    outcome,
)
from comporta.testing.conformance.records import record

LONG = Limit(3650)
FOREVER = Limits(LONG, LONG, LONG, LONG)
MIB = 1 << 20
HOUR_MS = 3_600_000


class LedgerKeepingSuite(LedgerStage):
    """Retention by age and by size, and the samples of the growth."""

    granularity_ms = 0
    """An engine that forgets whole days says so: then what came in stays until the day is over."""

    def goes(self, made_at_ms: int, before_ms: int) -> bool:
        """Whether something goes, when what came in before a moment may go."""
        return made_at_ms < before_ms - before_ms % max(self.granularity_ms, 1)

    async def keep(self, ledger: Ledger, at_ms: int, **limits: Limit) -> None:
        """One round at a moment, with nothing limited but what is said."""
        kept = structs.replace(FOREVER, **limits)
        await Retention(ledger, ledger.keeping, kept, lambda: at_ms).round()

    async def one_of_each(self, ledger: Ledger) -> tuple[Delivery, ...]:
        """Delivered, dead, scheduled, pending, discarded; and an event for nobody."""
        events = [new_event(n) for n in range(1, 6)]
        made = (await self.put(ledger, *events, new_event(6, targets=()))).deliveries
        await self.settle(
            ledger,
            outcome(made[0], DELIVERED),
            outcome(made[1], DEAD, 500),
            later(made[2], NOW_MS + 5),
        )
        await ledger.discard(DeliveryFilter(delivery_ids=(made[4].id,)), NOW_MS, "no")
        return made

    async def bodies(self, ledger: Ledger, made: Sequence[Delivery]) -> list[bool]:
        """Of which events there is a body."""
        found = [await ledger.event(one.event_id) for one in made]
        return [one is not None and one.body is not None for one in found]

    def test_bodies_go_by_age_except_where_something_is_open_or_dead(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = await self.one_of_each(ledger)
            await self.keep(ledger, NOW_MS + DAY_MS, bodies=Limit(1))
            assert await self.bodies(ledger, made) == [True] * 5, "not a moment too early"
            over_ms = NOW_MS + DAY_MS + 1 + self.granularity_ms
            await self.keep(ledger, over_ms, bodies=Limit(1))
            assert await self.bodies(ledger, made) == [False, True, True, True, False]
            assert len(await ledger.events(EventFilter())) == 6
            assert len(await ledger.attempts(made[0].id)) == 1
            assert len(await ledger.refill({KEY: 0}, 10)) == 2

        self.play(folder, story)

    def test_attempts_go_by_age_except_where_something_is_open_or_dead(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = await self.one_of_each(ledger)
            over_ms = NOW_MS + DAY_MS + 1 + self.granularity_ms
            await self.keep(ledger, over_ms, attempts=Limit(1))
            assert [len(await ledger.attempts(one.id)) for one in made] == [0, 1, 1, 0, 0]
            assert all(await self.bodies(ledger, made))

        self.play(folder, story)

    def test_events_go_by_age_with_all_that_belongs_to_them(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = await self.one_of_each(ledger)
            later_ms = NOW_MS + 1 + self.granularity_ms
            (young,) = (await self.put(ledger, new_event(7), now_ms=later_ms)).deliveries
            await self.settle(ledger, outcome(young, DELIVERED))
            await self.keep(ledger, later_ms + DAY_MS, events=Limit(1))
            kept = {row.id for row in await ledger.events(EventFilter())}
            assert kept == {one.event_id for one in (*made[1:4], young)}
            assert await ledger.event(made[0].event_id) is None
            assert await ledger.attempts(made[0].id) == []
            rows = await ledger.deliveries(DeliveryFilter())
            assert {row.id for row in rows} == {one.id for one in (*made[1:4], young)}

        self.play(folder, story)

    def test_an_event_stays_whole_while_one_of_its_deliveries_is_open(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, new_event(1, targets=(CRM, BOT)))).deliveries
            await self.settle(ledger, outcome(made[0], DELIVERED))
            late_ms = NOW_MS + 2 * DAY_MS
            await self.keep(ledger, late_ms, bodies=Limit(1), events=Limit(1))
            assert await self.bodies(ledger, made) == [True, True]
            await self.settle(ledger, outcome(made[1], DELIVERED))
            await self.keep(ledger, late_ms, bodies=Limit(1), events=Limit(1))
            assert await ledger.events(EventFilter()) == []

        self.play(folder, story)

    def test_a_replay_that_waits_keeps_its_old_event(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            await self.settle(ledger, outcome(one, DELIVERED))
            await ledger.replay(DeliveryFilter(), NOW_MS + 1)
            await self.keep(ledger, NOW_MS + 9 * DAY_MS, bodies=Limit(1), events=Limit(1))
            assert await self.bodies(ledger, [one]) == [True]

        self.play(folder, story)

    def test_what_has_no_body_any_more_is_told_and_neither_redriven_nor_replayed(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, new_event(1), new_event(2))).deliveries
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made])
            await self.put(ledger, new_event(3), now_ms=NOW_MS + 9 * DAY_MS)
            await self.keep(ledger, NOW_MS + 9 * DAY_MS, bodies=Limit(1))
            found = await ledger.matches(Bulk.REPLAY, DeliveryFilter())
            assert (found.count, found.bodiless) == (0, 2)
            assert (await ledger.replay(DeliveryFilter(), NOW_MS)).done == 0
            assert (await ledger.count(DeliveryFilter())) == 3

        self.play(folder, story)

    def test_dead_letters_stay_until_their_own_limit_and_that_they_went_is_on_record(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            made = await self.one_of_each(ledger)
            limits = {"bodies": Limit(1), "events": Limit(2), "attempts": Limit(1)}
            over_ms = NOW_MS + 1_000 + 3 * DAY_MS  # since it became one
            await self.keep(ledger, over_ms, dead=Limit(3), **limits)
            assert (await self.bodies(ledger, made))[1]
            assert await ledger.operations(None, 10) == []
            await self.keep(ledger, over_ms + 1, dead=Limit(3), **limits)
            assert await ledger.event(made[1].event_id) is None
            (record_of_it,) = await ledger.operations(None, 10)
            assert (record_of_it.who, record_of_it.what) == ("retention", "discard")
            assert record_of_it.count == 1
            assert record_of_it.which["because"] == "kept for 3 days"

        self.play(folder, story)

    def test_a_dead_letter_that_was_redriven_in_vain_is_kept_as_long_as_a_new_one(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            await self.settle(ledger, outcome(one, DEAD, 500))
            late_ms = NOW_MS + 3 * DAY_MS
            await ledger.redrive(DeliveryFilter(), late_ms)
            await ledger.settle({0: TOKEN}, [outcome(one, DEAD, 500)], late_ms)
            await self.keep(ledger, late_ms + 3 * DAY_MS, dead=Limit(3), bodies=Limit(1))
            assert await self.bodies(ledger, [one]) == [True]
            assert (await ledger.totals()).dead == 1
            await self.keep(ledger, late_ms + 3 * DAY_MS + 1, dead=Limit(3), bodies=Limit(1))
            assert await self.bodies(ledger, [one]) == [False]

        self.play(folder, story)

    def test_dead_letters_beyond_their_size_go_oldest_first(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made: list[Delivery] = []
            for n in range(4):
                event = new_event(n + 1, record(body=bytes([n]) * (400 * 1024)))
                made += (await self.put(ledger, event, now_ms=NOW_MS + n)).deliveries
            await self.settle(ledger, *[outcome(one, DEAD, 500) for one in made])
            await self.keep(ledger, NOW_MS + SPAN_MS, dead=Limit(90, 1))
            rows = await ledger.deliveries(DeliveryFilter(state=DeliveryState.DEAD))
            assert [row.id for row in rows] == [made[3].id, made[2].id]

        self.play(folder, story)

    async def bodies_at(self, ledger: Ledger, moments_ms: Sequence[int]) -> list[Delivery]:
        made: list[Delivery] = []
        for n, now_ms in enumerate(moments_ms):
            event = new_event(n + 1, record(body=bytes([n]) * (400 * 1024)))
            made += (await self.put(ledger, event, now_ms=now_ms)).deliveries
        return made

    def test_bodies_beyond_their_size_go_oldest_first_and_events_stay(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            moments_ms = [NOW_MS + n * (HOUR_MS + self.granularity_ms) for n in range(6)]
            made = await self.bodies_at(ledger, moments_ms[:5])
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made])
            at_ms = moments_ms[5]
            third_ms = moments_ms[2] // SPAN_MS * SPAN_MS + SPAN_MS
            left = [not self.goes(moment_ms, third_ms) for moment_ms in moments_ms[:5]]
            assert sum(left) == (3 if self.granularity_ms else 2)
            await self.keep(ledger, at_ms, bodies=Limit(3650, 2))
            assert await self.bodies(ledger, made) == [True] * 5
            await self.keep(ledger, at_ms, bodies=Limit(3650, 1))
            assert await self.bodies(ledger, made) == left
            assert len(await ledger.events(EventFilter())) == 5
            await self.keep(ledger, at_ms + 1, bodies=Limit(3650, 1))
            assert await self.bodies(ledger, made) == left

        self.play(folder, story)

    def test_attempts_and_events_beyond_their_size_go_oldest_first(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            apart_ms = max(HOUR_MS, self.granularity_ms // 4)
            made = await self.bodies_at(ledger, [NOW_MS + n * apart_ms for n in range(60)])
            results = [outcome(one, DELIVERED) for one in made]
            await self.settle(
                ledger,
                *[
                    structs.replace(one, result=structs.replace(one.result, response=b"r" * 20_000))
                    for one in results
                ],
            )
            at_ms = NOW_MS + 60 * apart_ms
            await self.keep(ledger, at_ms, attempts=Limit(3650, 1))
            counts = [len(await ledger.attempts(one.id)) for one in made]
            assert counts == sorted(counts)
            assert 45 <= sum(counts) <= 52 + self.granularity_ms // apart_ms, "of 20 kB each"
            assert len(await ledger.events(EventFilter(limit=100))) == 60

        self.play(folder, story)

    def test_a_size_counts_what_came_in_once_and_attempts_once_more_a_day_later(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            await self.settle(ledger, outcome(one, DELIVERED))
            at_ms = NOW_MS + 2 * SPAN_MS
            limits = {"bodies": Limit(3650, 1), "attempts": Limit(3650, 1)}
            await self.keep(ledger, at_ms, **limits)
            start_ms = NOW_MS // SPAN_MS * SPAN_MS
            (bodies,) = await ledger.keeping.measures(Kept.BODIES)
            assert bodies == Measure(start_ms, 1, bodies.bytes)
            assert bodies.bytes >= len(one.body)
            (early,) = await ledger.keeping.measures(Kept.ATTEMPTS)
            assert (early.rows, early.settled) == (1, False)
            await self.settle(ledger, outcome(one, DELIVERED))
            await self.keep(ledger, at_ms + DAY_MS, **limits)
            (settled,) = await ledger.keeping.measures(Kept.ATTEMPTS)
            assert settled.settled
            assert settled.bytes == 2 * early.bytes

        self.play(folder, story)

    def test_a_span_that_is_not_over_is_not_counted_yet(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            await self.put(ledger, new_event(1, targets=()))
            await self.keep(ledger, NOW_MS + 1_000, bodies=Limit(3650, 1))
            assert await ledger.keeping.measures(Kept.BODIES) == []

        self.play(folder, story)

    def test_a_step_looks_at_no_more_rows_than_it_may(self, folder: Path) -> None:
        before_ms = NOW_MS + 1 + self.granularity_ms

        async def steps(ledger: Ledger) -> list[int]:
            after_id, gone = 0, []
            while True:
                step = await ledger.keeping.prune(Kept.EVENTS, after_id, before_ms, 3)
                gone.append(step.gone)
                assert step.took_ms >= 0
                if not step.more:
                    return gone
                after_id = step.last_id

        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, *[new_event(n) for n in range(1, 11)])).deliveries
            assert sum(await steps(ledger)) == 0, "all are open"
            odd = tuple(one.id for one in made[::2])
            await ledger.discard(DeliveryFilter(delivery_ids=odd), NOW_MS, "no")
            assert await steps(ledger) == [2, 1, 2, 0], "five of ten are open"

        self.play(folder, story)

    def test_what_was_open_when_it_was_passed_over_goes_an_hour_later(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            (one,) = (await self.put(ledger, new_event(1))).deliveries
            clock = [NOW_MS + 2 * DAY_MS]
            limits = structs.replace(FOREVER, bodies=Limit(1), events=Limit(1))
            retention = Retention(ledger, ledger.keeping, limits, lambda: clock[0])
            await retention.round()
            await self.settle(ledger, outcome(one, DELIVERED))
            await retention.round()
            assert len(await ledger.events(EventFilter())) == 1
            clock[0] += HOUR_MS
            await retention.round()
            assert await ledger.events(EventFilter()) == []

        self.play(folder, story)

    def test_nothing_is_pruned_by_a_process_that_has_lost_the_task(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            await self.put(ledger, new_event(1, targets=()))
            limits = structs.replace(FOREVER, events=Limit(1))
            at_ms = NOW_MS + 9 * DAY_MS
            await Retention(ledger, ledger.keeping, limits, lambda: at_ms, lambda: False).round()
            assert len(await ledger.events(EventFilter())) == 1

        self.play(folder, story)

    def test_a_redrive_beside_retention_loses_no_body(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            targets = (CRM, Target("rte_3", "dst_other"))
            made = await self.put(ledger, *[new_event(n, targets=targets) for n in (1, 2)])
            await self.settle(ledger, *[outcome(one, DEAD, 500) for one in made.deliveries])
            late_ms = NOW_MS + 9 * DAY_MS
            await asyncio.gather(
                ledger.redrive(DeliveryFilter(destination_id="dst_crm"), late_ms),
                self.keep(ledger, late_ms, bodies=Limit(1), events=Limit(1), dead=Limit(1)),
            )
            open_ones = [
                row
                for row in await ledger.deliveries(DeliveryFilter())
                if row.state is DeliveryState.PENDING
            ]
            for row in open_ones:
                event = await ledger.event(row.event_id)
                assert event is not None
                assert event.body is not None

        self.play(folder, story)

    def test_nudges_of_yesterday_are_forgotten_and_those_of_today_are_not(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            events = [new_event(1, lane=1), new_event(2, lane=2)]
            made = (await self.put(ledger, *events)).deliveries
            for one, at_ms in ((made[0], NOW_MS), (made[1], NOW_MS + 1)):
                which = DeliveryFilter(delivery_ids=(one.id,))
                await ledger.discard(which, at_ms, "no")
            await ledger.keeping.tidy(NOW_MS + DAY_MS + 1)
            _last, lanes = await ledger.nudges(0)
            assert [key.lane for key in lanes] == [2]

        self.play(folder, story)

    def test_the_nudges_of_a_large_discard_are_all_forgotten_and_not_a_few_an_hour(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            await self.put(ledger, *[new_event(n, lane=n) for n in range(1, 1_202)])
            while (await ledger.discard(DeliveryFilter(limit=500), NOW_MS, "no")).done:
                pass
            assert len((await ledger.nudges(0))[1]) == 1_000, "a first page of them"
            await self.keep(ledger, NOW_MS + DAY_MS)
            assert len((await ledger.nudges(0))[1]) == 1_000, "none is a day old"
            await self.keep(ledger, NOW_MS + DAY_MS + 1)
            assert await ledger.nudges(0) == (0, [])

        self.play(folder, story)

    def test_the_record_of_operations_is_long_and_not_endless(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            note = Operation(NOW_MS, "cli:ana", "redrive", {})
            for start in range(0, OPERATIONS_MAX + 3, 500):
                count = min(500, OPERATIONS_MAX + 3 - start)
                await asyncio.gather(*[ledger.note(note) for _ in range(count)])
            await ledger.keeping.tidy(NOW_MS)
            kept = await ledger.operations(None, OPERATIONS_MAX * 2)
            assert len(kept) == OPERATIONS_MAX
            assert kept[0].id == OPERATIONS_MAX + 3

        self.play(folder, story)

    def test_samples_of_the_growth_come_back_oldest_first_and_only_so_many(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            keeping = ledger.keeping
            assert await keeping.samples() == []
            for n in range(SAMPLES_MAX + 5):
                await keeping.add_sample(Sample(NOW_MS + n, 10 * n, MIB))
            found = await keeping.samples()
            assert len(found) == SAMPLES_MAX
            assert found[-1] == Sample(NOW_MS + SAMPLES_MAX + 4, 10 * (SAMPLES_MAX + 4), MIB)
            assert found == sorted(found, key=lambda one: one.at_ms)

        self.play(folder, story)
