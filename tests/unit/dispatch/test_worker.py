"""The dispatcher's own part: what it tells its outlets."""

from types import SimpleNamespace
from typing import Any, cast

from tests.support.deliveries import delivery

from comporta.dispatch.worker import Dispatcher
from comporta.domain.delivery import AttemptResult, DeliveryState, Outcome, Verdict
from comporta.telemetry.tally import Tally


class PaperOutlet:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.pumped = 0
        self.ended: list[int] = []
        self.lanes = SimpleNamespace(settled=lambda one: self.ended.append(one.id))

    def pump(self) -> None:
        self.pumped += 1


def test_a_destination_with_nothing_under_way_goes_on_once_the_outcomes_of_others_are_stored() -> (
    None
):
    nothing = cast("Any", SimpleNamespace(partitions=1, watching=None))
    dispatcher = Dispatcher(
        log=nothing,
        ledger=nothing,
        state=nothing,
        routing=cast("Any", None),
        gone=cast("Any", None),
        server="here",
        pid=1,
        lease_s=3.0,
        concurrency=1,
        tally=Tally(),
    )
    some = [
        Outcome(delivery(n), AttemptResult(0, 1.0, 200), Verdict(DeliveryState.DELIVERED))
        for n in (1, 2, 3)
    ]
    busy, idle = PaperOutlet(), PaperOutlet()
    dispatcher._outlets = cast("Any", {some[0].delivery.destination_id: busy, "dst_idle": idle})
    dispatcher._settled(some)
    assert busy.ended == [1, 2, 3]
    assert (busy.pumped, idle.pumped) == (1, 1)
