"""Figures for where nothing was measured: those of one run of `comporta bench`, and of the engines.

The machine was a virtual one with two shared cores of an AMD EPYC and a local disk, and nothing
else to do; of three runs it is the one in the middle. Yours is another: `comporta bench --save`.
"""

from typing import Final

from comporta.deploy.figures import Figures, Machine
from comporta.deploy.plan import LogEngine

FIGURES: Final = Figures(
    machine=Machine(cpu="AMD EPYC", cpus=2, memory_gib=23.5, python="3.11.7", comporta="0.1.0"),
    at_ms=1_795_612_048_320,
    workers=2,
    new_one_worker_per_s=3_541,
    new_per_s=3_517,
    deliveries_per_s=4_695,
    sustained_per_s=2_877,
    intake_cpu_us=168,
    dispatch_cpu_us=320,
    senders_cpu_us=163,
    body_bytes=3_816,
    stored_bytes=4_659,
    worker_memory_mib=217,
    fsync_ms=0.22,
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
