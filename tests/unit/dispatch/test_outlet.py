"""An outlet and a destination that is not in the fleet: not yet, or not any more."""

import asyncio
from typing import Any, cast

from tests.support.deliveries import delivery

from comporta.dispatch.outlet import KNOWN_AFTER_MS, REMOVED, Desk, Outlet
from comporta.dispatch.routing import Outbound
from comporta.dispatch.traced import Traced
from comporta.domain.delivery import (
    AttemptResult,
    Delivery,
    DeliveryState,
    Outcome,
    Patience,
)
from comporta.domain.fleet import Destination


class Kept:
    """Outcomes, as far as an outlet knows them."""

    full = False

    def __init__(self) -> None:
        self.all: list[Outcome] = []

    def put(self, outcome: Outcome) -> None:
        self.all.append(outcome)


class Scene:
    """An outlet on a clock that tests move."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.now_ms, self.kept = 1_000_000, Kept()
        nothing = cast("Any", None)
        desk = Desk(
            ledger=nothing,
            state=nothing,
            outcomes=cast("Any", self.kept),
            tasks=tasks,
            part_of=lambda total: total,
            concurrency=4,
            draw=lambda: 0.5,
            now_ms=lambda: self.now_ms,
            instance_name=lambda id_: id_,
            gone=nothing,
            observe=lambda _outcome, _id: None,
            traced=Traced(None),
        )
        self.outlet = Outlet("dst", desk)
        self.outlet.change(None)

    def states(self) -> list[tuple[DeliveryState, str]]:
        return [(one.verdict.state, one.verdict.reason) for one in self.kept.all]

    async def pump(self) -> None:
        self.outlet.pump()
        for _ in range(5):
            await asyncio.sleep(0)


async def _send(_delivery: Delivery, _instance: str) -> AttemptResult:
    return AttemptResult(0, 1.0, 200)


def test_a_replay_to_a_destination_that_was_just_made_is_not_dead_lettered_as_removed() -> None:
    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            scene = Scene(tasks)
            scene.outlet.lanes.offer(delivery(1))
            scene.now_ms += KNOWN_AFTER_MS - 1
            await scene.pump()
            assert scene.states() == []
            destination = Destination("dst", "new", "http://localhost/")
            scene.outlet.change(Outbound(destination, _send, Patience((), 60.0)))
            await scene.pump()
            assert scene.states() == [(DeliveryState.DELIVERED, "")]

    asyncio.run(story())


def test_what_is_owed_to_a_removed_destination_is_dead_lettered_by_and_by() -> None:
    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            scene = Scene(tasks)
            scene.outlet.lanes.offer(delivery(1))
            scene.now_ms += KNOWN_AFTER_MS - 1
            scene.outlet.change(None)  # the fleet changed again, and is still without it
            await scene.pump()
            assert scene.states() == []
            scene.now_ms += 1
            await scene.pump()
            assert scene.states() == [(DeliveryState.DEAD, REMOVED)]

    asyncio.run(story())
