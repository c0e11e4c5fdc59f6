"""Plans: more load never gets less, and a plan carries its load or says that it does not."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from comporta.cli.plan_sentences import sentences
from comporta.cli.plan_words import lines
from comporta.deploy import capacity, shipped
from comporta.deploy.figures import Figures
from comporta.deploy.load import Asked
from comporta.deploy.plan import Plan
from comporta.deploy.planner import answer
from comporta.i18n import LANGUAGES, speaking

US = st.floats(20, 5000)
FIGURES = st.builds(
    lambda cpus, sustained, intake, dispatch, stored, memory: replace(
        shipped.FIGURES,
        machine=replace(shipped.FIGURES.machine, cpus=cpus),
        sustained_per_s=sustained,
        intake_cpu_us=intake,
        dispatch_cpu_us=dispatch,
        stored_bytes=stored,
        worker_memory_mib=memory,
    ),
    st.integers(1, 64),
    st.floats(10, 100_000),
    US,
    US,
    st.floats(100, 50_000),
    st.floats(50, 2000),
)
ASKED = st.builds(
    Asked,
    instances=st.integers(1, 100_000),
    events_a_second=st.floats(0.001, 100_000),
    peak_factor=st.floats(1, 100),
    cpus=st.integers(1, 128),
    memory_gib=st.floats(0.25, 1024),
    keep_days=st.integers(1, 3650),
)


@given(ASKED, FIGURES, st.booleans(), st.floats(1, 10))
def test_more_load_never_gets_fewer_servers_nor_a_lower_phase(
    asked: Asked, figures: Figures, measured: bool, times: float
) -> None:
    less = answer(asked, figures, measured=measured)
    busier = replace(asked, events_a_second=asked.events_a_second * times)
    more = answer(busier, figures, measured=measured)
    assert more.plan.servers >= less.plan.servers
    assert more.plan.phase >= less.plan.phase
    assert more.plan.servers * more.plan.workers >= less.plan.servers * less.plan.workers
    assert more.disk_kept_bytes >= less.disk_kept_bytes
    assert more.fits <= less.fits


@given(ASKED, FIGURES, st.booleans(), st.integers(1, 50_000))
def test_more_instances_never_get_fewer_servers(
    asked: Asked, figures: Figures, measured: bool, more: int
) -> None:
    few = answer(replace(asked, instances=more), figures, measured=measured)
    many = answer(replace(asked, instances=more * 2), figures, measured=measured)
    assert many.plan.servers >= few.plan.servers
    assert many.plan.phase >= few.plan.phase


@given(ASKED, FIGURES, st.booleans())
def test_a_plan_carries_its_load_also_without_one_server_or_says_what_would(
    asked: Asked, figures: Figures, measured: bool
) -> None:
    found = answer(asked, figures, measured=measured)
    worst = found.share if found.share_one_away is None else found.share_one_away
    assert found.fits == (worst <= capacity.HEADROOM * (1 + 1e-9))
    assert (found.gateways == 1) == found.fits
    assert found.plan.servers * found.plan.workers <= found.plan.partitions <= 62
    if not found.fits:
        part = replace(asked, events_a_second=asked.events_a_second / found.gateways)
        assert answer(part, figures, measured=measured).fits


@given(ASKED, FIGURES, st.booleans())
def test_the_next_step_is_above_what_there_is_and_nothing_changes_before_it(
    asked: Asked, figures: Figures, measured: bool
) -> None:
    def at(instances: int) -> tuple[int, int, str]:
        scaled = asked.events_a_second * instances / asked.instances
        load = replace(asked, instances=instances, events_a_second=min(scaled, 1e6))
        plan = answer(load, figures, measured=measured).plan
        return plan.servers, plan.workers, plan.log

    coming = answer(asked, figures, measured=measured).next
    if coming is None:
        return
    assert asked.instances < coming.instances <= 100_000
    assert at(coming.instances - 1) == at(asked.instances)


@given(ASKED, FIGURES, st.booleans())
def test_a_saved_plan_is_the_same_when_it_is_read(
    asked: Asked, figures: Figures, measured: bool
) -> None:
    plan = answer(asked, figures, measured=measured).plan
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


@given(ASKED, FIGURES, st.booleans(), st.sampled_from(LANGUAGES))
def test_every_plan_can_be_said_in_every_language(
    asked: Asked, figures: Figures, measured: bool, language: str
) -> None:
    found = answer(asked, figures, measured=measured)
    with speaking(language):
        said = [str(value) for _title, value in lines(found, figures.at_ms)] + sentences(found)
    assert all(said)
    assert not any(left in text for text in said for left in "{}")
