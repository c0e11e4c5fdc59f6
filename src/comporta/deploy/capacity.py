"""How much a server carries, by figures of a machine. Pure.

Two things bound it. The CPUs do: what was sustained on the measured machine is taken as a share of
its CPUs, with what sent the load counted as if it were ours, so it is a lower bound. And a process
has one CPU: a worker with its dispatch process can do no more than the busier of the two.
"""

from math import ceil
from typing import Final

from comporta.deploy.figures import Figures
from comporta.deploy.plan import LogEngine
from comporta.deploy.shipped import ENGINE_COST, STORE_CPU_US
from comporta.domain.partitioning import PARTITIONS_MAX

HEADROOM: Final = 0.65
"""How much of a capacity is planned with; the rest is for bursts, backups and what is forgotten."""
SCALED_MAX: Final = 4
"""Beyond so many times the measured CPUs nothing is promised: a file takes one writer at a time."""
_BASE_GIB: Final = 0.5
"""The operating system and the first process."""
_PENDING_GIB: Final = 64 / 1024
"""`pending_bytes_max`, for each worker."""
_PARTITIONS: Final = (16, 32, PARTITIONS_MAX)


def server_per_s(figures: Figures, cpus: int, workers: int, log: LogEngine) -> float:
    """Events a second that a server carries at most, in and out."""
    counted = min(cpus, figures.machine.cpus * SCALED_MAX)
    by_cpus = figures.sustained_per_s * counted / figures.machine.cpus
    by_processes = workers * 1e6 / max(figures.intake_cpu_us, figures.dispatch_cpu_us)
    return min(by_cpus, by_processes) / ENGINE_COST[log]


def store_cpus(engine: str, peak_per_s: float) -> float:
    """CPUs that a store's server needs at the peak within the headroom; 0 for a file."""
    return peak_per_s * STORE_CPU_US.get(engine, 0.0) / 1e6 / HEADROOM


def servers_for(peak_per_s: float, server_per_s: float) -> int:
    """How many carry the peak within the headroom while one of them is away; at least two."""
    return max(1, ceil(peak_per_s / (server_per_s * HEADROOM))) + 1


def servers_max(workers: int) -> int:
    """More would have dispatch processes without a partition."""
    return max(2, PARTITIONS_MAX // workers)


def partitions_for(servers: int, workers: int) -> int:
    """Enough for twice as many dispatch processes, as the number is fixed once there are events."""
    wanted = servers * workers * 2
    return next((number for number in _PARTITIONS if number >= wanted), PARTITIONS_MAX)


def memory_needed_gib(figures: Figures, workers: int) -> float:
    """What a server with so many workers needs."""
    return _BASE_GIB + workers * (figures.worker_memory_mib / 1024 + _PENDING_GIB)


def workers_within(figures: Figures, workers: int, memory_gib: float) -> int:
    """So many of the workers as have room in the memory; at least one."""
    while workers > 1 and memory_needed_gib(figures, workers) > memory_gib:
        workers -= 1
    return workers
