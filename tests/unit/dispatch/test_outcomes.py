"""Outcomes on their way to a ledger that is away, slow, or belongs to somebody else by now."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from tests.support.deliveries import delivery

from comporta.dispatch import outcomes as module
from comporta.dispatch.outcomes import BATCH_MAX, HIGH_WATER, Outcomes
from comporta.domain.delivery import AttemptResult, DeliveryState, Outcome, Verdict
from comporta.errors import StoreUnavailableError
from comporta.ledger.port import Ledger
from comporta.testing.conformance.records import until


def outcome(number: int, partition: int = 0) -> Outcome:
    verdict = Verdict(DeliveryState.DELIVERED)
    return Outcome(delivery(number, (partition, 10)), AttemptResult(0, 1.0, 200), verdict)


class PaperLedger:
    """Writes down what is settled; refuses as often as told, and says who is fenced."""

    def __init__(self, refusals: int = 0, fenced: frozenset[int] = frozenset()) -> None:
        self.refusals, self.fenced = refusals, fenced
        self.batches: list[list[int]] = []
        self.tokens: list[dict[int, int]] = []

    async def settle(
        self, tokens: Mapping[int, int], outcomes: Sequence[Outcome], _now_ms: int
    ) -> frozenset[int]:
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailableError("away")
        self.batches.append([one.delivery.id for one in outcomes])
        self.tokens.append(dict(tokens))
        return self.fenced


class Stage:
    """A queue of outcomes before a ledger on paper, and what it tells the lanes."""

    def __init__(self, ledger: PaperLedger, owned: dict[int, int]) -> None:
        self.settled: list[int] = []
        self.lost: list[int] = []
        self.queue = Outcomes(
            cast("Ledger", ledger),
            lambda: owned,
            lambda: 0,
            lambda some: self.settled.extend(one.delivery.id for one in some),
            self.lost.append,
        )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)


def play(ledger: PaperLedger, given: Sequence[Outcome], owned: dict[int, int]) -> Stage:
    stage = Stage(ledger, owned)

    async def run() -> None:
        task = asyncio.create_task(stage.queue.run())
        for one in given:
            stage.queue.put(one)

        async def empty() -> bool:
            return not len(stage.queue)

        await until("all is written", empty)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    return stage


def test_outcomes_go_out_in_order_and_in_bounded_batches() -> None:
    ledger = PaperLedger()
    count = 2 * BATCH_MAX + 3
    stage = play(ledger, [outcome(n) for n in range(1, count + 1)], {0: 7})
    assert stage.settled == list(range(1, count + 1))
    assert [len(batch) for batch in ledger.batches] == [BATCH_MAX, BATCH_MAX, 3]
    assert ledger.tokens[0] == {0: 7}


def test_an_outcome_is_kept_until_the_ledger_is_back() -> None:
    ledger = PaperLedger(refusals=5)
    stage = play(ledger, [outcome(1), outcome(2)], {0: 7})
    assert stage.settled == [1, 2]
    assert ledger.batches == [[1, 2]]


def test_outcomes_of_a_partition_that_another_has_are_dropped_and_it_is_told() -> None:
    ledger = PaperLedger(fenced=frozenset({1}))
    stage = play(ledger, [outcome(1), outcome(2, 1), outcome(3)], {0: 7, 1: 8})
    assert stage.settled == [1, 3]
    assert stage.lost == [1]


def test_outcomes_of_a_partition_lost_meanwhile_carry_a_token_that_fits_nobody() -> None:
    ledger = PaperLedger(fenced=frozenset({1}))
    play(ledger, [outcome(2, 1)], {0: 7})
    assert ledger.tokens == [{1: 0}]


def test_a_ledger_that_is_away_stops_new_attempts_at_the_high_water_mark() -> None:
    stage = Stage(PaperLedger(), {0: 7})

    async def run() -> None:
        for number in range(HIGH_WATER - 1):
            stage.queue.put(outcome(number))
        assert not stage.queue.full
        stage.queue.put(outcome(HIGH_WATER))
        assert stage.queue.full
        await stage.queue.flush()
        assert not stage.queue.full

    asyncio.run(run())
