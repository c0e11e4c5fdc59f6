"""A duty is one process's at a time; one that cannot renew it stops by itself."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from comporta import duty as module
from comporta.duty import Duty
from comporta.errors import StoreUnavailableError
from comporta.state.port import State
from comporta.state.sqlite import SqliteState

LEASE_S = 4.0
NOW_MS = 1_795_500_000_000


class Clock:
    """Both clocks of a process."""

    def __init__(self) -> None:
        self.s = 100.0

    def monotonic(self) -> float:
        return self.s

    def now_ms(self) -> int:
        return NOW_MS + int(self.s * 1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(module, "time", one)
    return one


def test_the_first_has_it_until_its_lease_has_run_out_unrenewed(
    tmp_path: Path, clock: Clock
) -> None:
    async def story() -> None:
        state = SqliteState(tmp_path / "state.db")
        await state.open()
        first, second = (Duty(state, "maintain", LEASE_S, clock.now_ms) for _ in range(2))
        await first._ask()
        await second._ask()
        assert (first.mine, second.mine) == (True, False)
        clock.s += LEASE_S - 0.1
        await second._ask()
        assert (first.mine, second.mine) == (True, False)
        clock.s += 0.2
        assert not first.mine, "it was not renewed"
        await second._ask()
        await first._ask()
        assert (first.mine, second.mine) == (False, True)
        await second._give_up()
        await first._ask()
        assert (first.mine, second.mine) == (True, False)
        await state.close()

    asyncio.run(story())


def test_without_the_state_it_ends_with_the_lease_and_no_error_gets_out(clock: Clock) -> None:
    class Away:
        there = True

        async def hold(self, *_: object) -> bool:
            if not self.there:
                raise StoreUnavailableError("away")
            return True

        async def let_go(self, *_: object) -> None:
            raise StoreUnavailableError("away")

    async def story() -> None:
        state = Away()
        one = Duty(cast("State", state), "maintain", 0.05, clock.now_ms)
        task = asyncio.create_task(one.run())
        while not one.mine:
            await asyncio.sleep(0)
        state.there = False
        clock.s += 1
        assert not one.mine
        await asyncio.sleep(0.1)
        assert not one.mine
        assert not task.done()
        state.there = True
        while not one.mine:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert not one.mine

    asyncio.run(story())
