"""What the planner answers: the plan, the figures it rests on, and the next step. Data only."""

from typing import Literal

import msgspec

from comporta.deploy.figures import Figures
from comporta.deploy.load import Asked
from comporta.deploy.plan import LogEngine, Phase, Plan


class Next(msgspec.Struct, frozen=True):
    """The next step: from how many instances like these, and what changes then."""

    instances: int
    phase: Phase
    servers: int
    workers: int
    log: LogEngine
    because: Literal["table", "load"]
    """Whose threshold comes first; the table's if both come at once."""


class Answer(msgspec.Struct, frozen=True):
    """The plan, and what it rests on."""

    plan: Plan
    asked: Asked
    measured: bool
    """The figures are of this machine, and not the shipped ones."""
    figures: Figures
    events_a_day: float
    peak_per_s: float
    server_per_s: float
    """What each server carries at most."""
    share: float
    """The peak as a share of what all servers carry."""
    share_one_away: float | None
    """The same while one server is away; None if there is only one."""
    fits: bool
    """The load stays within the headroom."""
    gateways: int
    """How many of these plans together would carry the load; 1 if it fits."""
    table_phase: Phase
    """What the guide's table says for so many instances."""
    load_phase: Phase
    """What the load alone would ask for."""
    memory_needed_gib: float
    """Of each server."""
    log_cpus: float
    """That the log's server needs at the peak, each node of it; 0: it is a file."""
    ledger_cpus: float
    """The same of the ledger's server."""
    disk_a_day_bytes: float
    disk_kept_bytes: float
    """Once everything has been kept for as long as it is kept."""
    next: Next | None
    """None: nothing changes below the greatest number of instances."""
