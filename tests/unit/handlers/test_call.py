"""One call of a handler: whatever it does, it has an ending, and the right one."""

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.deliveries import delivery

from comporta import Context, Drop, Gateway, Retry
from comporta.domain.delivery import Ending
from comporta.handlers.call import Ended, call, result_of
from comporta.handlers.signals import REASON_CHARS_MAX, RETRY_S_MAX
from comporta.handlers.trace import BYTES_MAX, SUMMARY_CHARS_MAX


class ClientError(Exception):
    """As HTTP clients have: no OSError, but raised from one."""


def ending(function: Any, timeout_s: float = 5.0, body: bytes = b"{}") -> Ended:
    gateway = Gateway()
    gateway.on("message_created", name="tried")(function)
    return asyncio.run(call(gateway.handlers[0], delivery(1, body=body), "loja-sp", timeout_s))


def raising(problem: BaseException, cause: BaseException | None = None) -> Ended:
    async def handler(_event: bytes) -> None:
        raise problem from cause

    return ending(handler)


def test_a_handler_that_returns_has_done_it() -> None:
    async def handler(event: bytes) -> None: ...

    assert ending(handler) == Ended(Ending.DONE)


def test_the_context_says_which_delivery_and_which_attempt_it_is() -> None:
    seen: list[Context] = []

    async def handler(_event: bytes, context: Context) -> None:
        seen.append(context)

    ending(handler, body=b'{"secret":1}')
    (context,) = seen
    assert (context.instance, context.attempt, context.body) == ("loja-sp", 1, b'{"secret":1}')
    assert context.delivery_id.startswith("dlv_")
    assert context.event_id.startswith("evt_")
    assert "secret" not in repr(context)


def test_retry_says_when_and_why() -> None:
    ended = raising(Retry.after(30, "busy"))
    assert ended == Ended(Ending.PASSING, "busy", 30.0)


@given(st.floats(allow_nan=False))
def test_a_wait_is_never_negative_and_never_longer_than_a_week(seconds: float) -> None:
    after_s = Retry.after(seconds).after_s
    assert after_s is not None
    assert 0 <= after_s <= RETRY_S_MAX
    assert after_s == seconds or not 0 <= seconds <= RETRY_S_MAX


def test_a_wait_is_a_number() -> None:
    with pytest.raises(ValueError, match="nan"):
        Retry.after(float("nan"))


def test_drop_says_why_and_reasons_are_cut() -> None:
    assert raising(Drop("spam")) == Ended(Ending.DROPPED, "spam")
    assert len(raising(Drop("x" * 1000)).reason) == REASON_CHARS_MAX
    assert len(raising(Retry.after(1, "x" * 1000)).reason) == REASON_CHARS_MAX


@pytest.mark.parametrize(
    ("problem", "cause"),
    [
        (ConnectionRefusedError("no"), None),
        (TimeoutError(), None),
        (ClientError("no"), ConnectionResetError("no")),
    ],
    ids=["refused", "timeout", "a client's own"],
)
def test_trouble_of_the_network_passes(problem: Exception, cause: Exception | None) -> None:
    ended = raising(problem, cause)
    assert (ended.ending, ended.exception) == (Ending.PASSING, problem)


@pytest.mark.parametrize(
    ("problem", "cause"),
    [
        (ValueError("no"), None),
        (ClientError("no"), KeyError("no")),
        (SystemExit(3), None),
        (KeyboardInterrupt(), None),
        (asyncio.CancelledError(), None),
    ],
    ids=lambda one: type(one).__name__,
)
def test_whatever_else_is_raised_is_poison(
    problem: BaseException, cause: BaseException | None
) -> None:
    ended = raising(problem, cause)
    assert (ended.ending, ended.exception) == (Ending.POISON, problem)
    assert ended.traceback


def test_what_one_task_of_a_group_raises_counts_as_if_there_were_no_group() -> None:
    async def later() -> None:
        raise Retry.after(7)

    async def handler(_event: bytes) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(later())

    assert ending(handler) == Ended(Ending.PASSING, "Retry", 7.0)


def test_a_body_that_does_not_fit_is_poison_and_never_reaches_the_handler() -> None:
    async def handler(_event: dict[str, Any]) -> None:
        raise AssertionError

    ended = ending(handler, body=b"{")
    assert ended.ending is Ending.POISON
    assert ended.reason.startswith("the body does not fit dict: ")


def test_a_handler_that_takes_too_long_is_cancelled_and_tried_again() -> None:
    cancelled = []

    async def handler(_event: bytes) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    ended = ending(handler, timeout_s=0.05)
    assert (ended.ending, ended.reason) == (Ending.PASSING, "no end within 0.05 s")
    assert cancelled == [True]


def test_what_a_handler_makes_of_its_cancellation_is_a_timeout_all_the_same() -> None:
    async def handler(_event: bytes) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ClientError("cancelled") from None

    assert ending(handler, timeout_s=0.05).reason == "no end within 0.05 s"


def test_who_cancels_a_call_is_obeyed() -> None:
    async def handler(_event: bytes) -> None:
        await asyncio.Event().wait()

    gateway = Gateway()
    gateway.on("message_created")(handler)

    async def main() -> bool:
        task = asyncio.create_task(call(gateway.handlers[0], delivery(1), "loja", 5))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())


def test_a_traceback_begins_with_the_users_code_and_shows_no_values() -> None:
    async def handler(event: dict[str, Any]) -> None:
        password = "hunter2"
        event[password[:0] + "nowhere"]

    ended = ending(handler, body=b'{"phone":"5511987650123"}')
    text = ended.traceback.decode()
    assert text.splitlines()[1].startswith(f'  File "{__file__}"')
    assert text.endswith("KeyError: 'nowhere'")
    assert ended.reason == "KeyError: 'nowhere'"
    assert "5511987650123" not in text


def test_tracebacks_and_reasons_are_bounded_and_keep_their_end() -> None:
    ended = raising(ValueError("x" * 100_000 + "the end"))
    assert len(ended.traceback) == BYTES_MAX
    assert ended.traceback.endswith(b"the end")
    assert len(ended.reason) == SUMMARY_CHARS_MAX


def test_an_exception_that_cannot_be_shown_is_named() -> None:
    class Rude(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise ValueError

    assert "Rude" in raising(Rude()).reason


def test_an_attempt_keeps_note_and_traceback_within_its_bound() -> None:
    ended = Ended(Ending.POISON, "why", traceback=b"y" * BYTES_MAX)
    result = result_of(ended, 1, time.perf_counter(), "a note")
    assert (result.error, result.ending, result.status) == ("why", Ending.POISON, None)
    assert result.response.startswith(b"a note\nyyy")
    assert len(result.response) == BYTES_MAX
