"""One call of a handler: always with an ending, never an exception but its own cancellation.

`Retry` and what looks like trouble of the network may succeed later; whatever else is raised would
be raised again, for it is about this event and this code.
"""

import asyncio
import time

import msgspec

from comporta.domain.delivery import AttemptResult, Delivery, Ending
from comporta.handlers.context import context_of
from comporta.handlers.decoding import MisfitError
from comporta.handlers.registry import Handler
from comporta.handlers.signals import Drop, Retry
from comporta.handlers.trace import summary_of, traceback_of

CAUSES_MAX = 16
_RESPONSE_BYTES_MAX = 20_000


class Ended(msgspec.Struct, frozen=True):
    """How a call ended."""

    ending: Ending
    reason: str = ""
    retry_after_s: float | None = None
    """What `Retry.after` asked for; None: the schedule decides."""
    exception: BaseException | None = None
    """What the handler raised, `Retry` and `Drop` aside."""
    traceback: bytes = b""


async def call(handler: Handler, delivery: Delivery, instance: str, timeout_s: float) -> Ended:
    """Call a handler once.

    Args:
        handler: whom.
        delivery: what with.
        instance: the name of the instance that the event came from.
        timeout_s: seconds for the call.
    """
    deadline = asyncio.timeout(timeout_s)
    try:
        event = handler.decode(delivery.body)
        extra = (context_of(delivery, instance),) if handler.takes_context else ()
        async with deadline:
            await handler.function(event, *extra)
    except MisfitError as problem:
        return Ended(Ending.POISON, str(problem), exception=problem)
    except (asyncio.CancelledError, GeneratorExit) as problem:
        if _is_for_us():
            raise
        return _ended_by(problem)
    # SystemExit and KeyboardInterrupt would end the thread that all handlers share.
    except BaseException as problem:  # noqa: BLE001  (a user's code: everything is an outcome)
        # Whatever it made of the cancellation.
        if deadline.expired() and not isinstance(problem, (Retry, Drop)):
            return Ended(Ending.PASSING, overdue(timeout_s), exception=problem)
        return _ended_by(problem)
    return Ended(Ending.DONE)


def overdue(timeout_s: float) -> str:
    """What is said of a call that took too long."""
    return f"no end within {timeout_s:g} s"


def _is_for_us() -> bool:
    """Whether this task is to end, or the handler let a cancellation of its own escape."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _ended_by(raised: BaseException) -> Ended:
    problem = _alone(raised)
    match problem:
        case Retry():
            return Ended(Ending.PASSING, problem.reason or "Retry", problem.after_s)
        case Drop():
            return Ended(Ending.DROPPED, problem.reason or "Drop")
    passing = _is_trouble_of_the_network(problem)
    ending = Ending.PASSING if passing else Ending.POISON
    return Ended(ending, summary_of(problem), exception=problem, traceback=traceback_of(raised))


def _alone(problem: BaseException) -> BaseException:
    """What a task group raises for one failed task is a group around it."""
    while isinstance(problem, BaseExceptionGroup) and len(problem.exceptions) == 1:
        problem = problem.exceptions[0]
    return problem


def _is_trouble_of_the_network(problem: BaseException) -> bool:
    """A `TimeoutError` or `OSError`, or raised from one, as HTTP clients do."""
    seen: BaseException | None = problem
    for _ in range(CAUSES_MAX):
        if seen is None:
            return False
        if isinstance(seen, OSError):  # TimeoutError is one
            return True
        seen = seen.__cause__
    return False


def result_of(ended: Ended, started_at_ms: int, began: float, note: str = "") -> AttemptResult:
    """The attempt's record.

    Args:
        ended: how.
        started_at_ms: Unix milliseconds.
        began: the same instant on `time.perf_counter`.
        note: of the watchdog; kept even if there is a traceback as well.
    """
    parts = [note.encode(errors="replace"), ended.traceback]
    return AttemptResult(
        started_at_ms=started_at_ms,
        duration_ms=(time.perf_counter() - began) * 1000,
        error=ended.reason,
        retry_after_s=ended.retry_after_s,
        response=b"\n".join(part for part in parts if part)[:_RESPONSE_BYTES_MAX],
        ending=ended.ending,
    )
