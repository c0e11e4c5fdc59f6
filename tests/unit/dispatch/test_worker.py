"""The dispatcher's own part: what it tells its outlets."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

from tests.support.deliveries import delivery

from comporta.dispatch.worker import Dispatcher
from comporta.domain.delivery import AttemptResult, DeliveryState, Outcome, Verdict
from comporta.ledger.port import LaneKey
from comporta.telemetry.tally import Tally


class PaperOutlet:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.pumped = 0
        self.ended: list[int] = []
        self.lanes = SimpleNamespace(settled=lambda one: self.ended.append(one.id))

    def pump(self) -> None:
        self.pumped += 1


def dispatcher_of(ledger: Any = None, routing: Any = None) -> Dispatcher:
    nothing = cast("Any", SimpleNamespace(partitions=1, watching=None))
    return Dispatcher(
        log=nothing,
        ledger=ledger or nothing,
        state=nothing,
        routing=routing,
        gone=cast("Any", None),
        server="here",
        pid=1,
        lease_s=3.0,
        concurrency=1,
        tally=Tally(),
    )


def test_a_destination_with_nothing_under_way_goes_on_once_the_outcomes_of_others_are_stored() -> (
    None
):
    dispatcher = dispatcher_of()
    some = [
        Outcome(delivery(n), AttemptResult(0, 1.0, 200), Verdict(DeliveryState.DELIVERED))
        for n in (1, 2, 3)
    ]
    busy, idle = PaperOutlet(), PaperOutlet()
    dispatcher._outlets = cast("Any", {some[0].delivery.destination_id: busy, "dst_idle": idle})
    dispatcher._settled(some)
    assert busy.ended == [1, 2, 3]
    assert (busy.pumped, idle.pumped) == (1, 1)


def test_what_people_discarded_is_forgotten_before_what_they_resumed_afterwards_goes_out() -> None:
    told: list[str] = []
    fleet = ["paused"]

    class People:
        """Discard while a destination is paused, resume it, and discard and resume once more."""

        partitions, watching = 1, None

        async def nudges(self, after: int) -> tuple[int, list[LaneKey]]:
            seen = after + 1
            if seen < 2:
                fleet.append(f"resumed {seen + 1}")  # meanwhile: only the next nudges belong to it
                dispatcher.fleet_changed()
            return seen, [LaneKey(0, "dst", seen)]

    class Told(PaperOutlet):
        def __init__(self) -> None:
            super().__init__()
            self.lanes.open = lambda _partition, lane: told.append(f"discarded {lane}")

        def change(self, outbound: str | None) -> None:
            told.append(str(outbound))

    def routing() -> Any:
        return SimpleNamespace(outbound={"dst": fleet[-1]})

    dispatcher = dispatcher_of(cast("Any", People()), routing)
    dispatcher._outlets = cast("Any", {"dst": Told()})
    dispatcher._partitions.tokens[0] = 1

    async def run() -> None:
        dispatcher.fleet_changed()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await dispatcher._watch_people()

    asyncio.run(run())
    assert told == [
        *("discarded 0", "paused"),
        *("discarded 1", "resumed 1"),
        *("discarded 2", "resumed 2"),
    ]
