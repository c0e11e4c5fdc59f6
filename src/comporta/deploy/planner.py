"""Decides what to run: from what is asked, figures of a machine and the guide's table. Pure.

Load decides how many workers and servers there are. From 21 instances on there are at least two
servers, and from 50 on a broker, whatever the load: the second server is for the day the first one
breaks, and the broker keeps copies. Between phases 1 and 2, which differ in speed only, a
measurement has the last word, where there is one.
"""

from collections.abc import Callable
from math import ceil
from typing import Final

import msgspec

from comporta.deploy import capacity, guide
from comporta.deploy.answers import Answer, Next
from comporta.deploy.figures import Figures
from comporta.deploy.load import BODY_BYTES, BOUNDS, Asked
from comporta.deploy.plan import LedgerEngine, LogEngine, Phase, Plan

KAFKA_FROM_PER_S: Final = 20_000.0
"""From this peak on the log is Kafka: half of the 38,000 confirmed events a second that one client
got out of a quorum queue; an hour's backlog is 300 GB then, and a queue is not made for that."""
INSTANCES_MAX: Final = int(BOUNDS["instances"][1])


class Choice(msgspec.Struct, frozen=True):
    """What has to change together when a gateway grows."""

    phase: Phase
    servers: int
    workers: int
    log: LogEngine
    server_per_s: float
    """What each server carries at most."""
    servers_wanted: int
    """As the load asks for; more than `servers` if there cannot be as many."""
    load_phase: Phase
    """What the load alone would ask for."""


def answer(asked: Asked, figures: Figures, *, measured: bool) -> Answer:
    """What to run.

    Args:
        asked: what comes in, and what the servers are.
        figures: what a server can do.
        measured: the figures are of this machine.
    """

    def at(instances: int) -> Choice:
        scaled = asked.events_a_second * instances / asked.instances
        return _choice(asked, instances, scaled * asked.peak_factor, figures, measured=measured)

    chosen = at(asked.instances)
    servers, each = chosen.servers, chosen.server_per_s
    kept_servers = chosen.servers_wanted - 1 if servers > 1 else 1
    bytes_a_day, bytes_kept = _disk(asked, figures)
    return Answer(
        plan=_plan(asked, chosen),
        asked=asked,
        measured=measured,
        figures=figures,
        events_a_day=asked.events_a_day,
        peak_per_s=asked.peak_per_s,
        server_per_s=each,
        share=asked.peak_per_s / (each * servers),
        share_one_away=asked.peak_per_s / (each * (servers - 1)) if servers > 1 else None,
        fits=chosen.servers_wanted <= servers,
        gateways=ceil(kept_servers / (servers - 1)) if chosen.servers_wanted > servers else 1,
        table_phase=guide.phase_of(asked.instances),
        load_phase=chosen.load_phase,
        memory_needed_gib=capacity.memory_needed_gib(figures, chosen.workers),
        log_cpus=capacity.store_cpus(chosen.log, asked.peak_per_s),
        ledger_cpus=capacity.store_cpus(_ledger_of(chosen), asked.peak_per_s),
        disk_a_day_bytes=bytes_a_day,
        disk_kept_bytes=bytes_kept,
        next=_next(asked.instances, at),
    )


def _choice(
    asked: Asked, instances: int, peak_per_s: float, figures: Figures, *, measured: bool
) -> Choice:
    many = capacity.workers_within(figures, guide.workers_of(asked.cpus), asked.memory_gib)
    few = min(many, guide.FEW_WORKERS)
    table, load = (
        guide.phase_of(instances),
        _phase_by_load(asked.cpus, peak_per_s, figures, few, many),
    )
    phase = load if measured and max(table, load) <= 2 else max(table, load)  # noqa: PLR2004
    workers = few if phase == 1 else many
    log = _log_of(phase, peak_per_s)
    each = capacity.server_per_s(figures, asked.cpus, workers, log)
    wanted = capacity.servers_for(peak_per_s, each) if phase >= 3 else 1  # noqa: PLR2004
    servers = min(wanted, capacity.servers_max(workers))
    return Choice(phase, servers, workers, log, each, wanted, load)


def _phase_by_load(cpus: int, peak_per_s: float, figures: Figures, few: int, many: int) -> Phase:
    def carries(workers: int) -> bool:
        most = capacity.server_per_s(figures, cpus, workers, "sqlite")
        return peak_per_s <= most * capacity.HEADROOM

    if carries(few):
        return 1
    if carries(many):
        return 2
    return 4 if peak_per_s >= KAFKA_FROM_PER_S else 3


def _log_of(phase: Phase, peak_per_s: float) -> LogEngine:
    if phase <= 2:  # noqa: PLR2004
        return "sqlite"
    if phase == 3:  # noqa: PLR2004
        return "redis"
    return "kafka" if peak_per_s >= KAFKA_FROM_PER_S else "rabbitmq"


def _plan(asked: Asked, chosen: Choice) -> Plan:
    return Plan(
        phase=chosen.phase,
        instances=asked.instances,
        servers=chosen.servers,
        workers=chosen.workers,
        log=chosen.log,
        ledger=_ledger_of(chosen),
        state="sqlite" if chosen.log == "sqlite" else "redis",
        partitions=capacity.partitions_for(chosen.servers, chosen.workers),
        keep_bodies_days=asked.keep_days,
        memory_gib=asked.memory_gib,
    )


def _ledger_of(chosen: Choice) -> LedgerEngine:
    return "sqlite" if chosen.log == "sqlite" else "postgresql"


def _disk(asked: Asked, figures: Figures) -> tuple[float, float]:
    bodies, rows = asked.events_a_day * BODY_BYTES, asked.events_a_day * figures.rows_bytes
    rows_days = max(asked.keep_events_days, asked.keep_days)
    return bodies + rows, bodies * asked.keep_days + rows * rows_days


def _next(instances: int, at: Callable[[int], Choice]) -> Next | None:
    """The first number of instances with another choice: it changes one way only as they grow."""
    now = _to_do(at(instances))
    low, high = instances, INSTANCES_MAX
    if _to_do(at(high)) == now:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _to_do(at(middle)) == now else (low, middle)
    then = at(high)
    by_table = high in {least for least, _phase in guide.PHASES} and then.phase != at(low).phase
    return Next(
        instances=high,
        phase=then.phase,
        servers=then.servers_wanted,
        workers=then.workers,
        log=then.log,
        because="table" if by_table else "load",
    )


def _to_do(choice: Choice) -> tuple[int, int, LogEngine]:
    """What somebody has to do; phases 1 and 2 are the same on two CPUs."""
    return choice.servers_wanted, choice.workers, choice.log
