"""Our own access line, `request.answered`: of refused webhook calls, and of some accepted ones.

It is written after the answer has gone out. It knows nothing of a body but its length, and nothing
of a token: whoever wants more of a refusal asks `comporta rejected`.
"""

import time

import structlog

from comporta.telemetry.budget import Budget

_log = structlog.get_logger("comporta.access")
ACCEPTED = 200


class AccessLog:
    """The access lines of one worker.

    Args:
        sample: one in so many accepted calls gets a line; 0: none.
        budget: how many refusals may be written down.
    """

    def __init__(self, sample: int, budget: Budget | None = None) -> None:
        self._sample, self._budget = sample, budget or Budget()
        self._accepted = 0

    def due(self) -> bool:
        """Whether the accepted call that is being answered gets a line."""
        if not self._sample:
            return False
        self._accepted += 1
        return self._accepted % self._sample == 0

    def accepted(self, started: float, **facts: object) -> None:
        """Write the line of an accepted call.

        Args:
            started: when it came, by `time.perf_counter`.
            facts: further fields; what is empty is left out.
        """
        _log.info("request.answered", status=ACCEPTED, **_shown(started, facts))

    def refused(self, status: int, started: float, **facts: object) -> None:
        """Write the line of a refused call, unless there are too many of them.

        Args:
            status: of the answer.
            started: as for `accepted`.
            facts: the same.
        """
        left_out = self._budget.spend()
        if left_out is not None:
            facts["left_out"] = left_out
            _log.info("request.answered", status=status, **_shown(started, facts))


def _shown(started: float, facts: dict[str, object]) -> dict[str, object]:
    duration_ms = round((time.perf_counter() - started) * 1000, 2)
    return {"duration_ms": duration_ms} | {name: value for name, value in facts.items() if value}
