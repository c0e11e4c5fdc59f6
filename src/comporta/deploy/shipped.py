"""Figures for where nothing was measured: those of one run of `comporta bench`, and of the engines.

The machine was a virtual one with two shared cores of an AMD EPYC, a local disk whose fsync takes
0.2 ms, nothing else running. Yours is another: `comporta bench --save`.
"""

from typing import Final

from comporta.deploy.figures import Figures, Machine
from comporta.deploy.plan import LogEngine

FIGURES: Final = Figures(
    machine=Machine(cpu="AMD EPYC", cpus=2, memory_gib=23.5, python="3.11", comporta="0.1.0"),
    at_ms=1_795_594_000_000,
    workers=2,
    new_one_worker_per_s=5_000,
    new_per_s=5_000,
    deliveries_per_s=4_000,
    sustained_per_s=2_000,
    intake_cpu_us=150,
    dispatch_cpu_us=240,
    senders_cpu_us=150,
    body_bytes=4_000,
    stored_bytes=5_000,
    worker_memory_mib=200,
    fsync_ms=0.2,
)

ENGINE_COST: Final[dict[LogEngine, float]] = {
    "sqlite": 1.0,
    "redis": 1.1,
    "rabbitmq": 1.5,
    "kafka": 1.5,
}
"""CPU of the gateway for an event, as a multiple of the embedded engine's: medians of three runs.

With PostgreSQL as the ledger and Redis as the state, where the log is not embedded. The two brokers
have one figure, the dearer one's.
"""
STORE_CPU_US: Final[dict[str, float]] = {
    "postgresql": 150,
    "redis": 120,
    "rabbitmq": 230,
    "kafka": 250,
}
"""CPU of a store's server for an event, microseconds; of each node that has a copy."""
