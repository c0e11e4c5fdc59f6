"""What every ledger must do for people and for the fleet, whatever database is behind it."""

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from comporta.domain.delivery import Delivery, DeliveryState
from comporta.domain.fleet import Destination, Fleet
from comporta.domain.ids import first_at
from comporta.domain.pace import Pace, Speed
from comporta.domain.partitioning import bulk_lane
from comporta.errors import ConflictError
from comporta.ledger.bulk import Order, carry_out
from comporta.ledger.port import (
    Bulk,
    DeliveryFilter,
    EventFilter,
    EventRow,
    FleetChange,
    LaneKey,
    Ledger,
    Matches,
    Operation,
    Step,
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
    LedgerStage,
    later,
    new_event,
    outcome,
)
from comporta.testing.conformance.records import record

BULK_KEY = LaneKey(0, "dst_crm", bulk_lane(LANE))


def matching(rows: list[EventRow], which: EventFilter) -> list[EventRow]:
    """Those of the rows, newest first, that are asked for."""
    since_id = 0 if which.since_ms is None else first_at(which.since_ms)
    found = [
        row
        for row in rows
        if row.id >= since_id
        and (which.before_id is None or row.id < which.before_id)
        and which.instance_id in {None, row.instance_id}
    ]
    return found[: which.limit]


class LedgerPeopleSuite(LedgerStage):
    """Redrive, replay, discard, questions, and versions of the fleet."""

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
            assert lanes == [BULK_KEY]
            assert await ledger.nudges(after) == (after, [])
            assert await ledger.refill({KEY: 0}, 10) == []
            refilled = await ledger.refill({BULK_KEY: 0}, 10)
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
            assert (await ledger.nudges(after))[1] == [BULK_KEY]
            again = await ledger.refill({BULK_KEY: 0}, 10)
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
            key = LaneKey(0, "dst_new", bulk_lane(LANE))
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

    def test_a_discard_gives_up_what_is_open_or_dead_and_nothing_else(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, *[new_event(n) for n in range(1, 5)])).deliveries
            await self.settle(
                ledger,
                outcome(made[0], DELIVERED),
                outcome(made[1], DEAD, 500),
                later(made[2], NOW_MS + 5),
            )
            after, _lanes = await ledger.nudges(-1)
            assert await ledger.matches(Bulk.DISCARD, DeliveryFilter()) == Matches(
                3, 0, made[1].accepted_at_ms, made[3].accepted_at_ms
            )
            step = await ledger.discard(DeliveryFilter(limit=2), NOW_MS + 9, "not wanted")
            assert step == Step(2, made[2].id)
            assert (await ledger.nudges(after))[1] == [KEY]
            assert [one.id for one in await ledger.refill({KEY: 0}, 10)] == [made[3].id]
            rows = await ledger.deliveries(DeliveryFilter(state=DeliveryState.DISCARDED))
            assert [(row.id, row.reason, row.settled_at_ms, row.due_at_ms) for row in rows] == [
                (one.id, "not wanted", NOW_MS + 9, 0) for one in (made[2], made[1])
            ]
            assert (await ledger.discard(DeliveryFilter(), NOW_MS, "again")).done == 1
            assert (await ledger.discard(DeliveryFilter(), NOW_MS, "again")).last_id == 0

        self.play(folder, story)

    def test_an_attempt_under_way_undoes_a_discard_only_by_delivering(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, *[new_event(n) for n in (1, 2, 3)])).deliveries
            await ledger.discard(DeliveryFilter(), NOW_MS, "not wanted")
            await self.settle(
                ledger,
                outcome(made[0], DELIVERED),
                later(made[1], NOW_MS + 5),
                outcome(made[2], DEAD, 500),
            )
            rows = await ledger.deliveries(DeliveryFilter())
            assert [row.state for row in reversed(rows)] == [
                DeliveryState.DELIVERED,
                DeliveryState.DISCARDED,
                DeliveryState.DISCARDED,
            ]
            tries = [await ledger.attempts(one.id) for one in made]
            assert [len(found) for found in tries] == [1, 1, 1], "that it was tried is told"

        self.play(folder, story)

    def test_a_replay_at_a_rate_gives_each_delivery_its_moment_over_all_steps(
        self, folder: Path
    ) -> None:
        async def story(ledger: Ledger) -> None:
            made = (await self.put(ledger, *[new_event(n) for n in range(1, 8)])).deliveries
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made])
            start_ms = NOW_MS + 5_000
            for position in (0, 3, 6):
                pace = Pace(Speed(per_s=10), start_ms, NOW_MS, position)
                after_id = made[position - 1].id if position else None
                which = DeliveryFilter(limit=3, after_id=after_id)
                await ledger.replay(which, start_ms, pace=pace)
            again = await ledger.refill({BULK_KEY: 0}, 10)
            assert [one.due_at_ms for one in again] == [start_ms + 100 * n for n in range(7)]
            rows = await ledger.deliveries(DeliveryFilter(state=DeliveryState.SCHEDULED))
            assert len(rows) == 7

        self.play(folder, story)

    def test_a_replay_by_a_factor_keeps_the_gaps_in_proportion(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            base = record()
            events = [
                new_event(
                    n,
                    structs.replace(base, accepted_at_ms=NOW_MS + at_ms, body=b"[%d]" % n),
                )
                for n, at_ms in enumerate((0, 1_000, 61_000), 1)
            ]
            made = (await self.put(ledger, *events)).deliveries
            await self.settle(ledger, *[outcome(one, DELIVERED) for one in made])
            found = await ledger.matches(Bulk.REPLAY, DeliveryFilter())
            assert found == Matches(3, 0, NOW_MS, NOW_MS + 61_000)
            pace = Pace(Speed(factor=20), NOW_MS + 70_000, found.first_at_ms)
            await ledger.replay(DeliveryFilter(), NOW_MS + 70_000, pace=pace)
            again = await ledger.refill({BULK_KEY: 0}, 10)
            assert [one.due_at_ms - NOW_MS - 70_000 for one in again] == [0, 50, 3_050]

        self.play(folder, story)

    def test_a_change_in_bulk_is_one_record_that_counts_along(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            made = await self.some_dead(ledger, 5)
            which = DeliveryFilter(destination_id="dst_crm", delivery_ids=(made[0].id, made[3].id))
            for what in (Bulk.REDRIVE, Bulk.DISCARD):
                order = Order(what, which, "cli:ana", "why not")
                found = await ledger.matches(what, which)
                assert await carry_out(ledger, order, found, lambda: NOW_MS) == 2
            kept = {"destination_id": "dst_crm", "delivery_ids": [made[0].id, made[3].id]}
            kept["because"] = "why not"
            assert await ledger.operations(None, 10) == [
                Operation(NOW_MS, "cli:ana", "discard", kept, 2, 2),
                Operation(NOW_MS, "cli:ana", "redrive", kept, 2, 1),
            ]
            assert [one.id for one in await ledger.operations(2, 10)] == [1]
            assert len(await ledger.operations(None, 1)) == 1

        self.play(folder, story)

    def test_who_changed_the_fleet_is_told_newest_first(self, folder: Path) -> None:
        async def story(ledger: Ledger) -> None:
            for version, who in ((1, "cli:ana"), (2, "cli:bia")):
                await ledger.replace_fleet(Fleet(version), who, f"made {version}")
            found = await ledger.fleet_changes(None, 10)
            assert [(one.version, one.changed_by, one.summary) for one in found] == [
                (2, "cli:bia", "made 2"),
                (1, "cli:ana", "made 1"),
            ]
            assert isinstance(found[0], FleetChange)
            assert [one.version for one in await ledger.fleet_changes(2, 10)] == [1]

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

    def test_a_conversation_is_found_whole_however_far_apart_its_events_are(
        self, folder: Path
    ) -> None:
        seconds = (0, 1, 40, 41, 3_600, 90_000, 90_001, 2_000_000)

        async def story(ledger: Ledger) -> None:
            for number, after_s in enumerate(seconds, 1):
                pair = [record(body=b"%d" % n, subject=f"conversation:{n}") for n in (7, 77)]
                events = [new_event(number * 2 + n, one) for n, one in enumerate(pair)]
                await self.put(ledger, *events, now_ms=NOW_MS + after_s * 1000)
            rows = [r for r in await ledger.events(EventFilter()) if r.subject == "conversation:7"]
            assert len(rows) == len(seconds)
            for asked in (
                {},
                {"limit": 3},
                {"since_ms": NOW_MS + 41_000},
                {"before_id": rows[2].id},
                {"before_id": rows[0].id, "since_ms": NOW_MS + 1_000, "limit": 5},
                {"since_ms": NOW_MS + 3_000_000_000},
                {"before_id": rows[-1].id},
                {"instance_id": "nobody"},
            ):
                which = EventFilter(conversation_id=7, **asked)
                found = await ledger.events(which)
                assert found == matching(rows, which), asked

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
            assert await which(delivery_ids=(ids[3], ids[0])) == [3, 0]
            assert await which(since_ms=NOW_MS + 1) == []
            assert await which(until_ms=NOW_MS) == []
            assert await which(until_ms=NOW_MS + 1) == [5, 4, 3, 2, 1, 0]
            assert await which(reason="http 50") == [1]
            assert await which(reason="%") == []
            assert await which(route_id="rte_2") == [5, 3, 1]
            assert await which(event_type="nothing") == []

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
