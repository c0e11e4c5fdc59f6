"""The log lines of attempts: which delivery it was, and what came of it; nothing of what it said.

A handler's words about its failure are a user's, and may quote a message: they are kept with the
attempt (`comporta event show`), and are not in a line.
"""

import structlog

from comporta.domain.classes import EventClass
from comporta.domain.delivery import Delivery, DeliveryState, Outcome
from comporta.domain.ids import show
from comporta.domain.tracing import trace_id_of
from comporta.telemetry.budget import Budget

_log = structlog.get_logger(__name__)


def context_of(delivery: Delivery, chatwoot: str) -> dict[str, object]:
    """What stands in every line that is written while a delivery is being attempted.

    Args:
        delivery: which.
        chatwoot: the name of the instance that its event came from.
    """
    context: dict[str, object] = {
        "event_id": show("evt", delivery.event_id),
        "delivery_id": show("dlv", delivery.id),
        "chatwoot": chatwoot,
    }
    if trace_id := trace_id_of(delivery.headers):
        context["trace_id"] = trace_id
    return context


class AttemptLines:
    """The lines of one worker's attempts."""

    def __init__(self) -> None:
        self._failed, self._died = Budget(), Budget()

    def ended(self, outcome: Outcome, destination: str) -> None:
        """Say what came of an attempt, if it was not success.

        Args:
            outcome: of it.
            destination: its name.
        """
        if outcome.result.succeeded:
            return
        died = outcome.verdict.state is DeliveryState.DEAD
        left_out = (self._died if died else self._failed).spend()
        if left_out is not None:
            say, line = (_log.warning, "delivery.died") if died else (_log.info, "attempt.failed")
            say(line, destination=destination, **_facts(outcome, left_out))


def _facts(outcome: Outcome, left_out: int) -> dict[str, object]:
    delivery, result, verdict = outcome.delivery, outcome.result, outcome.verdict
    waits = verdict.due_at_ms and delivery.event_class is not EventClass.EPHEMERAL
    wait_s = max(0.0, (verdict.due_at_ms - result.ended_at_ms) / 1000) if waits else 0.0
    facts: dict[str, object] = {
        "event_type": delivery.event_type,
        "attempt": delivery.attempts + 1,
        "duration_ms": round(result.duration_ms, 1),
        "status": result.status,
        "error": result.error if result.ending is None else result.ending.value,
        "next_wait_s": round(wait_s, 1),
        "left_out": left_out,
    }
    return {name: value for name, value in facts.items() if value}
