"""Handlers in their thread: results, cancellation, blocking, and what is left at the end."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs
from tests.support.deliveries import delivery

from comporta import Gateway
from comporta.domain.delivery import AttemptResult, Ending
from comporta.handlers import runner as room
from comporta.handlers.runner import HandlerRunner, HandlersEndedError
from comporta.handlers.watchdog import LINES_MAX, Watchdog

T = TypeVar("T")
Main = Callable[[HandlerRunner], Awaitable[T]]
DEADLINE_S = 20


@asynccontextmanager
async def running(
    gateway: Gateway, blocked: Callable[[str], None] = lambda _name: None
) -> AsyncIterator[HandlerRunner]:
    runner = HandlerRunner(gateway.handlers, blocked)
    await runner.open()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(runner.watch())
        try:
            yield runner
        finally:
            watching.cancel()
            await runner.close(5)


def run(gateway: Gateway, main: Main[T]) -> T:
    async def whole() -> T:
        async with asyncio.timeout(DEADLINE_S), running(gateway) as runner:
            return await main(runner)

    return asyncio.run(whole())


def sent(function: Any, timeout_s: float = 5.0) -> AttemptResult:
    gateway = Gateway()
    gateway.on("message_created", name="tried")(function)
    return run(gateway, lambda runner: runner.send("tried", delivery(1), "loja-sp", timeout_s))


def test_handlers_run_in_one_thread_that_is_not_that_of_dispatch() -> None:
    threads = set()

    async def handler(_event: bytes) -> None:
        threads.add(threading.current_thread().name)

    result = sent(handler)
    assert (result.ending, result.error, result.status) == (Ending.DONE, "", None)
    assert result.started_at_ms <= time.time_ns() // 1_000_000
    assert threads == {"handlers"}


def test_a_handler_that_is_not_here_is_waited_for() -> None:
    gateway = Gateway()
    result = run(gateway, lambda runner: runner.send("nobody", delivery(1), "loja", 5))
    assert (result.ending, result.error) == (Ending.PASSING, "no handler nobody runs here")


def test_calls_of_one_handler_go_on_beside_each_other() -> None:
    gateway = Gateway()
    both = threading.Barrier(2)

    @gateway.on("message_created")
    async def meet(_event: bytes) -> None:
        await asyncio.to_thread(both.wait, 10)

    async def main(runner: HandlerRunner) -> list[AttemptResult]:
        return await asyncio.gather(*(runner.send("meet", delivery(n), "loja", 10) for n in (1, 2)))

    assert [one.ending for one in run(gateway, main)] == [Ending.DONE] * 2


def test_cancelling_an_attempt_cancels_the_handler() -> None:
    gateway = Gateway()
    began, ended = threading.Event(), threading.Event()

    @gateway.on("message_created")
    async def wait(_event: bytes) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def main(runner: HandlerRunner) -> bool:
        attempt = asyncio.create_task(runner.send("wait", delivery(1), "loja", 5))
        assert await asyncio.to_thread(began.wait, 10)
        attempt.cancel()
        await asyncio.wait([attempt])
        assert await asyncio.to_thread(ended.wait, 10)
        return attempt.cancelled()

    assert run(gateway, main)


def test_a_handler_that_will_not_be_cancelled_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "GRACE_S", 0.05)
    go = threading.Event()

    async def stubborn(_event: bytes) -> None:
        while not go.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    with capture_logs() as lines:
        try:
            result = sent_and(stubborn, go)
        finally:
            go.set()
    assert (result.ending, result.error) == (Ending.PASSING, "no end within 0.05 s")
    assert [one["event"] for one in lines] == ["handler.not_cancelled"]


def sent_and(function: Any, go: threading.Event) -> AttemptResult:
    gateway = Gateway()
    gateway.on("message_created", name="tried")(function)

    async def main(runner: HandlerRunner) -> AttemptResult:
        result = await runner.send("tried", delivery(1), "loja", 0.05)
        go.set()
        return result

    return run(gateway, main)


def test_a_blocking_handler_is_named_and_the_others_are_told_why_they_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "GRACE_S", 0.1)
    gateway = Gateway()
    blocks: list[str] = []
    began, go = threading.Event(), threading.Event()

    @gateway.on("message_created")
    async def blocking(_event: bytes) -> None:
        began.set()
        go.wait(15)

    @gateway.on("message_created")
    async def innocent(event: bytes) -> None: ...

    async def main() -> tuple[AttemptResult, AttemptResult]:
        async with running(gateway, blocks.append) as runner:
            attempt = asyncio.create_task(runner.send("blocking", delivery(1), "loja", 20))
            assert await asyncio.to_thread(began.wait, 10)
            while not blocks:  # the dispatch loop goes on meanwhile
                await asyncio.sleep(0.01)
            held_up = await runner.send("innocent", delivery(2), "loja", 0.1)
            go.set()
            return await attempt, held_up

    with capture_logs() as lines:
        blocked, held_up = asyncio.run(main())
    assert blocks == ["blocking"]
    assert blocked.ending is Ending.DONE
    assert b"blocking blocked the event loop of all handlers for" in blocked.response
    assert b"go.wait(15)" in blocked.response
    assert (held_up.ending, held_up.error) == (Ending.PASSING, "no end within 0.1 s")
    assert b"blocking blocked the event loop" in held_up.response
    said = next(one for one in lines if one["event"] == "handler.blocks_loop")
    assert (said["handler"], said["file"]) == ("blocking", __file__)
    assert said["for_s"] >= 1
    assert lines[-1]["event"] == "handler.freed_loop"


class PaperLoop:
    """A loop that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, answer: Callable[[], None]) -> None:
        self.asked.append(answer)


def test_what_blocks_for_long_is_said_every_five_seconds_and_not_for_ever() -> None:
    loop = PaperLoop()
    blocks: list[Any] = []
    watchdog = Watchdog(loop, threading.get_ident(), lambda: "slow", blocks.append)  # type: ignore[arg-type]
    with capture_logs() as lines:
        for quarter in range(4 * 1000):
            watchdog.look(quarter / 4)
    assert [one["for_s"] for one in lines] == [1 + 5 * n for n in range(LINES_MAX)]
    assert len(blocks) == 1
    assert len(loop.asked) == 1


def test_a_loop_that_answers_within_a_second_is_left_in_peace() -> None:
    loop = PaperLoop()
    watchdog = Watchdog(loop, threading.get_ident(), lambda: "", lambda _block: None)  # type: ignore[arg-type]
    with capture_logs() as lines:
        for quarter in range(100):
            watchdog.look(quarter / 4)
            if quarter % 4 == 3:
                loop.asked.pop()()
    assert lines == []


def test_at_the_end_what_is_under_way_is_cancelled_and_a_thread_that_blocks_is_left() -> None:
    gateway = Gateway()
    began, go = threading.Event(), threading.Event()

    @gateway.on("message_created")
    async def blocking(_event: bytes) -> None:
        began.set()
        go.wait(15)

    async def main() -> float:
        runner = HandlerRunner(gateway.handlers, lambda _name: None)
        await runner.open()
        attempt = asyncio.create_task(runner.send("blocking", delivery(1), "loja", 20))
        assert await asyncio.to_thread(began.wait, 10)
        before = time.monotonic()
        await runner.close(0.1)
        took_s = time.monotonic() - before
        go.set()
        await attempt
        return took_s

    assert asyncio.run(main()) < 5


def test_a_thread_that_ends_by_itself_is_a_defect_that_is_told() -> None:
    gateway = Gateway()

    @gateway.on("message_created")
    async def leaving(_event: bytes) -> None:
        async def leave() -> None:
            raise SystemExit(1)

        await asyncio.ensure_future(leave())

    async def main() -> None:
        async with running(gateway) as runner:
            await runner.send("leaving", delivery(1), "loja", 1)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        asyncio.run(main())
    assert failed.group_contains(HandlersEndedError)


def test_who_is_cancelled_because_the_gateway_ends_is_tried_again_by_the_next() -> None:
    gateway = Gateway()
    began = threading.Event()

    @gateway.on("message_created")
    async def wait(_event: bytes) -> None:
        began.set()
        await asyncio.Event().wait()

    async def main() -> tuple[AttemptResult, AttemptResult]:
        runner = HandlerRunner(gateway.handlers, lambda _name: None)
        await runner.open()
        attempt = asyncio.create_task(runner.send("wait", delivery(1), "loja", 20))
        assert await asyncio.to_thread(began.wait, 10)
        await runner.close(5)
        return await attempt, await runner.send("wait", delivery(2), "loja", 20)

    stopped, late = asyncio.run(main())
    assert (stopped.ending, stopped.error) == (Ending.PASSING, "the gateway stopped meanwhile")
    assert late.ending is Ending.PASSING
