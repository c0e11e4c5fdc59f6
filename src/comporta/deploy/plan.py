"""What a deployment consists of: the planner's answer, and what every template is made from."""

from typing import Literal

import msgspec

Phase = Literal[1, 2, 3, 4]
LogEngine = Literal["sqlite", "redis", "rabbitmq", "kafka"]
LedgerEngine = Literal["sqlite", "postgresql"]
StateEngine = Literal["sqlite", "redis"]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run. `comporta plan --save` writes it as JSON, `comporta deploy --plan` reads it."""

    phase: Phase
    """Of the scaling guide: 1 one server, 2 more workers, 3 several servers, 4 a broker."""
    instances: int
    """Chatwoot installations that it is meant for."""
    servers: int
    """Machines that run `comporta serve`."""
    workers: int
    """Worker processes on each of them."""
    log: LogEngine
    ledger: LedgerEngine
    state: StateEngine
    partitions: int
    """Of the log."""
    keep_bodies_days: int
    memory_gib: float
    """Of each server."""
