"""Breaker and rate as one worker sees them, with a state on paper that may be away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from msgspec.structs import replace
from tests.support.deliveries import delivery

from comporta.dispatch.valve import Valve
from comporta.domain.breaker import CLOSED, Breaker, BreakerState, probed, probing, tripped
from comporta.domain.delivery import AttemptResult, Ending
from comporta.domain.rate import Grant, Rate, grant
from comporta.errors import StoreUnavailableError
from comporta.state.port import State

NOW_MS = 1_795_500_000_000
OK = AttemptResult(NOW_MS, 1.0, 200)
FAILED = AttemptResult(NOW_MS, 1.0, 503)


class PaperState:
    """One breaker and one rate."""

    def __init__(self) -> None:
        self.away = False
        self.breaker = CLOSED
        self.tat_ms = 0.0

    def _ask(self) -> None:
        if self.away:
            raise StoreUnavailableError("the state is away")

    async def trip(self, _id: str, now_ms: int, reason: str, hold_s: float) -> Breaker:
        self._ask()
        self.breaker = tripped(self.breaker, now_ms, reason, hold_s)
        return self.breaker

    async def probe(self, _id: str, now_ms: int, timeout_s: float) -> tuple[Breaker, bool]:
        self._ask()
        self.breaker, allowed = probing(self.breaker, now_ms, timeout_s)
        return self.breaker, allowed

    async def probed(
        self, _id: str, now_ms: int, *, success: bool, reason: str, hold_s: float
    ) -> Breaker:
        self._ask()
        self.breaker = probed(self.breaker, now_ms, success=success, reason=reason, hold_s=hold_s)
        return self.breaker

    async def take(self, _id: str, rate: Rate, wanted: int, now_ms: int) -> Grant:
        self._ask()
        found = grant(self.tat_ms, now_ms, rate, wanted)
        self.tat_ms = found.tat_ms
        return found


class House:
    """A valve, its state, and a clock."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.state, self.now_ms, self.told = PaperState(), NOW_MS, 0
        state = cast("State", self.state)
        self.valve = Valve("dst", state, tasks, lambda: self.now_ms, self._news)

    def _news(self) -> None:
        self.told += 1

    async def room(self, wanted: int) -> int:
        """What may pass, once what was asked of the state is answered."""
        self.valve.room(self.now_ms, wanted)
        await self.settle()
        return self.valve.room(self.now_ms, wanted)

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def fail(self, times: int = 5) -> None:
        for number in range(times):
            self.valve.saw(replace(delivery(number + 1), lane=number), FAILED, probe=False)
        await self.settle()


def play(story: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            await story(House(tasks))

    asyncio.run(run())


def test_without_a_rate_everything_passes_while_it_is_closed() -> None:
    async def story(house: House) -> None:
        assert house.valve.room(NOW_MS, 7) == 7
        assert not house.valve.enter()

    play(story)


def test_when_everything_fails_nothing_passes_until_a_probe_is_due() -> None:
    async def story(house: House) -> None:
        await house.fail(4)
        assert house.valve.closed
        await house.fail(1)
        assert not house.valve.closed
        assert house.state.breaker.state is BreakerState.OPEN
        assert await house.room(9) == 0
        house.now_ms = house.valve.again_at_ms(NOW_MS)
        assert await house.room(9) == 1, "one probe at a time from each worker"
        assert house.valve.enter()
        assert house.valve.breaker.state is BreakerState.HALF_OPEN
        house.valve.saw(delivery(1), OK, probe=True)
        await house.settle()
        assert house.valve.closed
        assert house.valve.room(house.now_ms, 9) == 9

    play(story)


def test_a_clock_set_back_does_not_put_probes_off() -> None:
    async def story(house: House) -> None:
        await house.fail()
        house.now_ms -= 3_600_000
        assert await house.room(1) == 1

    play(story)


def test_a_failed_probe_opens_it_again_for_longer() -> None:
    async def story(house: House) -> None:
        await house.fail()
        house.now_ms = house.valve.again_at_ms(NOW_MS)
        assert await house.room(1) == 1
        house.valve.enter()
        house.valve.saw(delivery(1), FAILED, probe=True)
        await house.settle()
        assert house.valve.breaker.state is BreakerState.OPEN
        assert house.valve.again_at_ms(house.now_ms) == house.now_ms + 10_000

    play(story)


def test_retries_that_fail_and_receivers_that_drop_do_not_open_it() -> None:
    async def story(house: House) -> None:
        for number in range(50):
            again = replace(delivery(number + 1), lane=number, attempts=1)
            house.valve.saw(again, FAILED, probe=False)
            dropped = AttemptResult(NOW_MS, 1.0, ending=Ending.DROPPED)
            house.valve.saw(replace(delivery(number + 1), lane=number), dropped, probe=False)
        assert house.valve.closed

    play(story)


def test_when_only_retries_are_left_they_show_that_everything_still_fails() -> None:
    async def story(house: House) -> None:
        house.valve.saw(delivery(1), OK, probe=False)
        await house.fail(20)
        assert house.valve.closed, "it has just worked"
        house.now_ms += 3_000
        again = replace(delivery(1), lane=1, tried_at_ms=NOW_MS)
        house.valve.saw(again, FAILED, probe=False)
        assert not house.valve.closed

    play(story)


def test_a_probe_that_hung_does_not_open_what_another_has_closed() -> None:
    async def story(house: House) -> None:
        await house.fail()
        house.now_ms = house.valve.again_at_ms(NOW_MS)
        for _ in range(2):
            assert await house.room(1) == 1
            assert house.valve.enter()
        house.valve.saw(delivery(1), OK, probe=True)
        await house.settle()
        house.valve.saw(delivery(2), FAILED, probe=True)
        await house.settle()
        assert house.valve.closed

    play(story)


def test_what_was_not_sent_says_nothing_and_its_probe_is_still_to_be_made() -> None:
    async def story(house: House) -> None:
        await house.fail()
        house.now_ms = house.valve.again_at_ms(NOW_MS)
        assert await house.room(1) == 1
        assert house.valve.enter()
        dropped = AttemptResult(NOW_MS, 1.0, ending=Ending.DROPPED, sent=False)
        house.valve.saw(delivery(1), dropped, probe=True)
        await house.settle()
        assert not house.valve.closed
        assert house.valve.room(house.now_ms, 1) == 1

    play(story)


def test_it_opens_in_this_worker_even_if_the_state_is_away_and_probes_once_it_is_back() -> None:
    async def story(house: House) -> None:
        house.state.away = True
        await house.fail()
        assert not house.valve.closed
        house.now_ms += 600
        assert await house.room(1) == 0
        house.state.away = False
        house.now_ms += 600
        assert await house.room(1) == 1

    play(story)


def test_what_was_read_before_this_worker_changed_it_is_not_believed() -> None:
    async def story(house: House) -> None:
        before = house.valve.changes
        await house.fail()
        house.valve.learn(CLOSED, before)
        assert not house.valve.closed
        house.valve.learn(CLOSED, house.valve.changes)
        assert house.valve.closed

    play(story)


def test_a_rate_lets_through_what_it_grants_and_says_when_there_is_more() -> None:
    async def story(house: House) -> None:
        house.valve.change(Rate(10.0, 3), 1.0)
        assert await house.room(5) == 3
        for _ in range(3):
            house.valve.enter()
        assert await house.room(5) == 0
        again_ms = house.valve.again_at_ms(house.now_ms)
        assert NOW_MS + 100 <= again_ms <= NOW_MS + 102
        house.now_ms = again_ms
        assert await house.room(5) == 1
        assert house.told >= 2

    play(story)


def test_a_rate_that_was_changed_holds_at_once() -> None:
    async def story(house: House) -> None:
        house.valve.change(Rate(1 / 3600, 1), 1.0)
        assert await house.room(1) == 1
        house.valve.enter()
        assert await house.room(1) == 0
        assert house.valve.again_at_ms(house.now_ms) > NOW_MS + 3_000_000
        house.valve.change(Rate(10.0, 3), 1.0)
        assert await house.room(3) == 0
        house.now_ms += 300
        assert await house.room(3) == 3

    play(story)


def test_calls_that_were_granted_and_not_used_are_given_up_after_a_second() -> None:
    async def story(house: House) -> None:
        house.valve.change(Rate(1.0, 3), 1.0)
        assert await house.room(3) == 3
        house.now_ms += 1_001
        assert house.valve.room(house.now_ms, 3) == 0

    play(story)


def test_a_rate_lets_nothing_through_while_the_state_is_away() -> None:
    async def story(house: House) -> None:
        house.valve.change(Rate(10.0, 3), 1.0)
        house.state.away = True
        assert await house.room(3) == 0
        assert house.valve.again_at_ms(house.now_ms) == NOW_MS + 500
        house.state.away = False
        house.now_ms += 500
        assert await house.room(3) == 3

    play(story)
