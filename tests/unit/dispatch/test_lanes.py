"""What once went wrong in lanes, and the plain cases; `tests/properties` has the rest."""

import msgspec
import pytest
from tests.support.deliveries import delivery, next_of

from comporta.dispatch.lanes import Lanes
from comporta.domain.delivery import Delivery
from comporta.domain.fairness import Share
from comporta.domain.partitioning import bulk_lane
from comporta.ledger.port import LaneKey

KEY = LaneKey(0, "dst", 10)


def take(lanes: Lanes, now_ms: int = 0) -> Delivery:
    found = next_of(lanes, now_ms)
    assert found is not None
    return found


def end(lanes: Lanes, one: Delivery) -> None:
    lanes.finished(one)
    lanes.settled(one)


def test_a_lane_gives_one_at_a_time_in_order() -> None:
    lanes = Lanes(10)
    for number in (1, 2):
        lanes.offer(delivery(number))
    first = take(lanes)
    assert next_of(lanes) is None
    end(lanes, first)
    assert [first.id, take(lanes).id] == [1, 2]


def test_another_lane_goes_on_while_one_waits_for_its_retry() -> None:
    lanes = Lanes(10)
    for number, lane in ((1, 10), (2, 11), (3, 10)):
        lanes.offer(delivery(number, (0, lane)))
    lanes.postponed(take(lanes), 5_000)
    assert take(lanes).id == 2
    assert next_of(lanes) is None
    assert lanes.wake(0) == 5_000


def test_a_stopped_partition_gives_nothing_more_and_is_idle_once_all_is_settled() -> None:
    lanes = Lanes(10)
    lanes.offer(delivery(1))
    lanes.offer(delivery(2))
    first = take(lanes)
    lanes.stop(0)
    lanes.finished(first)
    assert next_of(lanes) is None
    assert lanes.active() == {0}
    lanes.settled(first)
    assert lanes.active() == set()


def test_a_lane_that_was_ready_when_its_partition_was_lost_is_remembered_when_won() -> None:
    lanes = Lanes(10)
    lanes.offer(delivery(1))
    lanes.drop(0)
    lanes.open(0, 10)
    assert next_of(lanes) is None
    assert lanes.hungry("dst", 10) == {KEY: 0}


def test_more_redriven_deliveries_than_one_refill_brings_all_come_out_of_a_busy_lane() -> None:
    lanes = Lanes(10)
    lanes.offer(delivery(100))
    newest = take(lanes)
    lanes.open(0, 10)  # deliveries 1 to 4 were put back
    end(lanes, newest)
    assert lanes.hungry("dst", 10) == {KEY: 0}
    lanes.refilled([KEY], [delivery(1), delivery(2)], [KEY])
    end(lanes, take(lanes))
    end(lanes, take(lanes))
    assert lanes.hungry("dst", 10) == {KEY: 2}


def test_a_refill_that_failed_after_a_redrive_asks_from_the_start_again() -> None:
    lanes = Lanes(10)
    lanes.offer(delivery(100))
    newest = take(lanes)
    lanes.open(0, 10)
    end(lanes, newest)
    assert lanes.hungry("dst", 10) == {KEY: 0}
    lanes.refilled([KEY], (), [KEY])
    assert lanes.hungry("dst", 10) == {KEY: 0}


def test_a_refill_keeps_to_the_memory_bound_and_what_did_not_fit_comes_later() -> None:
    lanes = Lanes(2)
    other = LaneKey(0, "dst", 11)
    lanes.open(0, 10)
    lanes.open(0, 11)
    assert set(lanes.hungry("dst", 10)) == {KEY, other}
    found = [delivery(1), delivery(3), delivery(2, (0, 11))]
    lanes.refilled([KEY, other], found, [KEY])
    assert lanes.held == 2
    end(lanes, take(lanes))
    assert lanes.hungry("dst", 10) == {}, "its instance has half of the room already"
    end(lanes, take(lanes))
    assert set(lanes.hungry("dst", 10)) >= {other}


def test_a_lane_that_waits_for_its_head_keeps_no_room_from_the_others() -> None:
    lanes = Lanes(1)
    lanes.open(0, 10)
    lanes.hungry("dst", 10)
    lanes.refilled([KEY], [delivery(1, due_at_ms=9_000)], ())
    assert next_of(lanes) is None
    lanes.offer(delivery(2, (0, 11)))
    assert take(lanes).id == 2


def test_an_attempt_of_an_earlier_lease_does_not_end_the_present_one() -> None:
    lanes = Lanes(10)
    lanes.offer(delivery(1))
    before = take(lanes)
    lanes.drop(0)
    lanes.open(0, 10)
    lanes.hungry("dst", 10)
    lanes.refilled([KEY], [delivery(1), delivery(2)], ())
    now = take(lanes)
    end(lanes, before)
    assert next_of(lanes) is None
    end(lanes, now)
    assert take(lanes).id == 2


def test_a_lost_partition_leaves_no_trace_of_its_waiting_lanes() -> None:
    lanes = Lanes(10)
    for number in range(1, 6):
        lanes.open(0, number, 9_000)
    lanes.drop(0)
    assert len(lanes) == 0
    assert lanes.wake(0) is None


def test_large_bodies_count_for_what_they_take_up() -> None:
    lanes = Lanes(100)
    for number in range(1, 60):
        lanes.offer(delivery(number, (0, number), body=b"x" * 640 * 1024))
    assert lanes.held == 55, "half of it is for one instance, and the last one may go beyond"
    one = take(lanes)
    assert lanes.held == 44
    lanes.superseded(0, 2, 2)
    assert lanes.held == 33
    lanes.drop(0)
    assert lanes.held == 0
    assert one.id == 1


@pytest.mark.parametrize("instances", [1, 3])
def test_a_backlog_of_live_events_leaves_room_for_what_was_put_back(instances: int) -> None:
    lanes = Lanes(40)
    for number in range(1, 400):
        one = delivery(number, (0, number))
        lanes.offer(msgspec.structs.replace(one, instance_id=f"ins_{number % instances}"))
    bulk = LaneKey(0, "dst", bulk_lane(1000))
    lanes.open(0, bulk.lane, instance_id="ins_0")
    asked = lanes.hungry("dst", 64)
    assert bulk in asked, "and not only lanes of the backlog, of which there are enough"
    lanes.refilled(asked, [delivery(9000, (0, bulk.lane))], set(asked))
    assert lanes.next(0, Share.BULK) is not None


def test_what_was_put_back_takes_a_quarter_of_the_memory_and_of_a_refill_at_most() -> None:
    lanes = Lanes(40)
    for number in range(1, 100):
        lanes.open(0, bulk_lane(number), instance_id=f"ins_{number}")
        lanes.open(0, number, instance_id=f"ins_{number}")
    asked = lanes.hungry("dst", 64)
    assert len(asked) == 64
    assert sum(key.lane >= bulk_lane(0) for key in asked) == 16
    found = [delivery(n, (0, key.lane)) for n, key in enumerate(asked, 1)]
    lanes.refilled(asked, found, ())
    assert lanes.held == 40
    taken = [lanes.next(0, Share.BULK) for _ in range(20)]
    assert sum(one is not None for one in taken) == 10
