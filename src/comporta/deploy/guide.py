"""The scaling guide's own table: what to run by the number of instances and of CPUs. Pure.

It is a rule of thumb that knows nothing of load; what is measured knows nothing of what happens
when a machine is lost. The planner weighs both.
"""

from typing import Final

from comporta.deploy.plan import Phase

PHASES: Final[tuple[tuple[int, Phase], ...]] = ((1, 1), (6, 2), (21, 3), (50, 4))
"""From so many instances on, this phase: 1 to 5, up to 20, more, 50 and more."""
FEW_WORKERS: Final = 2
"""Of phase 1."""
_WORKERS: Final = (8, 4, 2)


def phase_of(instances: int) -> Phase:
    """By the number of instances alone."""
    return max(phase for least, phase in PHASES if instances >= least)


def workers_of(cpus: int) -> int:
    """Worker processes for so many CPUs: 2, 4, 8 for 2, 4, 8 and more."""
    return next((workers for workers in _WORKERS if cpus >= workers), 1)
