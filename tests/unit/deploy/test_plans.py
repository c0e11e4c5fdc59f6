"""What is planned: by the guide's table, by what was measured, and where they differ."""

import pytest
from msgspec.structs import replace

from comporta.deploy import capacity, guide, planner, shipped
from comporta.deploy.answers import Answer
from comporta.deploy.load import BOUNDS, Asked, events_a_second, problem_with
from comporta.deploy.planner import answer

ASKED = Asked(instances=3, events_a_second=1, peak_factor=5, cpus=8, memory_gib=16, keep_days=7)
FIGURES = replace(
    shipped.FIGURES,
    machine=replace(shipped.FIGURES.machine, cpus=8),
    sustained_per_s=1000.0,
    intake_cpu_us=200.0,
    dispatch_cpu_us=1000.0,
    stored_bytes=6000.0,
    body_bytes=4000.0,
)
"""A server with eight workers sustains 1000 events a second; a worker can do 1000, too."""


def planned(measured: bool = True, **changed: float) -> Answer:
    return answer(replace(ASKED, **changed), FIGURES, measured=measured)


@pytest.mark.parametrize(
    ("instances", "phase", "log"),
    [
        (1, 1, "sqlite"),
        (5, 1, "sqlite"),
        (6, 2, "sqlite"),
        (20, 2, "sqlite"),
        (21, 3, "redis"),
        (49, 3, "redis"),
        (50, 4, "rabbitmq"),
        (100_000, 4, "rabbitmq"),
    ],
)
def test_without_a_measurement_a_light_load_is_planned_by_the_table(
    instances: int, phase: int, log: str
) -> None:
    found = planned(measured=False, instances=instances)
    assert (found.plan.phase, found.plan.log) == (phase, log)
    assert found.table_phase == phase
    assert found.load_phase == 1


@pytest.mark.parametrize(
    ("cpus", "workers"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (64, 8)]
)
def test_workers_are_as_many_as_the_table_says_for_the_cpus(cpus: int, workers: int) -> None:
    assert guide.workers_of(cpus) == workers
    assert planned(measured=False, instances=10, cpus=cpus).plan.workers == workers
    assert planned(measured=False, instances=2, cpus=cpus).plan.workers == min(2, workers)


def test_a_measurement_may_say_that_fewer_workers_do_than_the_table_says() -> None:
    assert planned(measured=False, instances=10).plan.phase == 2
    found = planned(measured=True, instances=10)
    assert (found.plan.phase, found.table_phase) == (1, 2)


def test_a_load_that_one_server_does_not_carry_takes_several_whatever_the_table_says() -> None:
    fits = planned(events_a_second=650 / 5)
    assert (fits.plan.phase, fits.plan.servers, fits.table_phase) == (1, 1, 1)
    more = planned(events_a_second=651 / 5)
    assert (more.plan.phase, more.plan.servers, more.table_phase) == (3, 3, 1)
    assert (more.plan.log, more.plan.ledger, more.plan.state) == ("redis", "postgresql", "redis")


def test_more_workers_are_planned_where_two_do_not_carry_the_load() -> None:
    slow = replace(FIGURES, dispatch_cpu_us=4000.0)
    found = answer(replace(ASKED, events_a_second=80), slow, measured=True)
    assert (found.plan.phase, found.plan.workers, found.plan.servers) == (2, 8, 1)


def test_from_21_instances_on_a_second_server_stands_by_for_the_first() -> None:
    found = planned(measured=True, instances=21)
    assert (found.plan.phase, found.plan.servers, found.load_phase) == (3, 2, 1)
    assert found.share_one_away == pytest.approx(found.share * 2)


def test_the_load_fits_while_one_server_is_away() -> None:
    found = planned(instances=30, events_a_second=400)
    assert found.fits
    assert found.share_one_away is not None
    assert found.share_one_away <= capacity.HEADROOM
    one_fewer = 2000 / (found.server_per_s * (found.plan.servers - 2))
    assert one_fewer > capacity.HEADROOM


def test_kafka_is_for_a_load_that_asks_for_it_and_rabbitmq_for_all_others() -> None:
    large = replace(FIGURES, sustained_per_s=100_000.0, dispatch_cpu_us=1.0, intake_cpu_us=1.0)
    below = planner.KAFKA_FROM_PER_S / 5 - 1
    at = answer(replace(ASKED, instances=60, events_a_second=below), large, measured=True)
    assert at.plan.log == "rabbitmq"
    more = answer(replace(ASKED, instances=60, events_a_second=below + 1), large, measured=True)
    assert more.plan.log == "kafka"


def test_what_does_not_fit_says_how_many_gateways_would_carry_it() -> None:
    found = planned(instances=100, events_a_second=30_000)
    assert not found.fits
    assert found.plan.servers * found.plan.workers <= 62
    part = answer(
        replace(ASKED, instances=100, events_a_second=30_000 / found.gateways),
        FIGURES,
        measured=True,
    )
    assert part.fits


def test_the_next_step_is_the_tables_or_the_loads_whichever_is_first() -> None:
    light = planned(measured=False, instances=10).next
    assert light is not None
    assert (light.instances, light.because, light.log) == (21, "table", "redis")
    heavy = planned(instances=10, events_a_second=100).next
    assert heavy is not None
    assert (heavy.instances, heavy.because) == (14, "load")


def test_nothing_has_to_be_done_where_two_phases_are_the_same() -> None:
    found = planned(measured=False, instances=3, cpus=2)
    assert found.next is not None
    assert found.next.instances == 21


def test_little_memory_takes_workers_away_and_says_what_is_missing() -> None:
    found = planned(measured=False, instances=10, memory_gib=1)
    assert found.plan.workers < 8
    assert found.memory_needed_gib <= 1
    least = planned(measured=False, instances=10, memory_gib=0.25)
    assert least.plan.workers == 1
    assert least.memory_needed_gib > 0.25


def test_the_disk_holds_bodies_and_the_rest_for_as_long_as_each_is_kept() -> None:
    found = planned(events_a_second=1, keep_days=7)
    day = 86_400
    assert found.disk_a_day_bytes == pytest.approx(day * (5000 + 2000))
    assert found.disk_kept_bytes == pytest.approx(day * (5000 * 7 + 2000 * 30))
    longer = planned(events_a_second=1, keep_days=90)
    assert longer.disk_kept_bytes == pytest.approx(day * (5000 + 2000) * 90)


def test_what_the_stores_need_is_counted_apart_from_the_gateway() -> None:
    found = planned(instances=60, events_a_second=130)
    assert found.log_cpus == pytest.approx(650 * 230e-6 / 0.65)
    assert found.ledger_cpus == pytest.approx(650 * 150e-6 / 0.65)
    alone = planned(instances=3)
    assert (alone.log_cpus, alone.ledger_cpus) == (0, 0)


def test_there_are_partitions_for_twice_the_dispatch_processes() -> None:
    assert capacity.partitions_for(1, 8) == 16
    assert capacity.partitions_for(2, 8) == 32
    assert capacity.partitions_for(4, 8) == 62
    assert capacity.partitions_for(31, 2) == 62


def test_cpus_beyond_four_times_the_measured_ones_promise_nothing() -> None:
    of = [capacity.server_per_s(FIGURES, cpus, 62, "sqlite") for cpus in (8, 16, 32, 33, 1024)]
    assert of == [1000, 2000, 4000, 4000, 4000]


def test_a_conversation_is_ten_messages_of_four_and_a_half_events() -> None:
    assert events_a_second(10_000) == pytest.approx(450_000 / 86_400)


@pytest.mark.parametrize("name", list(BOUNDS))
def test_numbers_are_taken_at_their_bounds_and_refused_beyond(name: str) -> None:
    least, most = BOUNDS[name]
    assert problem_with(name, least) == problem_with(name, most) == ""
    for wrong in (least * 0.999, most * 1.001, 0, -1, float("nan"), float("inf"), 1e18):
        assert "from" in problem_with(name, wrong)
    if name in Asked.__struct_fields__:
        with pytest.raises(ValueError, match=name):
            replace(ASKED, **{name: most * 2}).__post_init__()
