"""The schedule that senders share, under a clock that the tests move."""

import asyncio
from types import SimpleNamespace

import pytest

from comporta.testing import pacing
from comporta.testing.pacing import Pacer


class Clock:
    """Sleeping moves it, and nothing else does, unless a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def perf_counter(self) -> float:
        return self.now_s

    async def sleep(self, wait_s: float) -> None:
        self.now_s += wait_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    monkeypatch.setattr(pacing, "asyncio", SimpleNamespace(sleep=clock.sleep))
    return clock


def slots(pacer: Pacer, number: int) -> list[float]:
    async def main() -> list[float]:
        found = [await pacer.next() for _ in range(number)]
        return [round(at - 1_000, 6) for at in found if at is not None]

    return asyncio.run(main())


def test_slots_are_evenly_apart_and_the_duration_ends_them(clock: Clock) -> None:
    assert slots(Pacer(10, duration_s=0.5), 9) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert clock.now_s == pytest.approx(1_000.4)


def test_a_count_ends_them_too(clock: Clock) -> None:
    assert slots(Pacer(10, slots=2), 5) == [0.0, 0.1]
    assert clock.now_s == pytest.approx(1_000.1)


def test_without_a_rate_a_slot_is_now(clock: Clock) -> None:
    pacer = Pacer(0, slots=3)
    assert slots(pacer, 2) == [0.0, 0.0]
    clock.now_s += 7
    assert slots(pacer, 2) == [7.0]


def test_an_open_loop_catches_up_on_everything_it_missed(clock: Clock) -> None:
    pacer = Pacer(10)
    clock.now_s += 60
    assert slots(pacer, 3) == [0.0, 0.1, 0.2]


def test_short_arrears_spare_a_receiver_the_backlog(clock: Clock) -> None:
    pacer = Pacer(10, arrears_s_max=1.0)
    clock.now_s += 60
    assert slots(pacer, 12)[:2] == [59.0, 59.1]
    assert clock.now_s == pytest.approx(1_060.1)
