"""The whole loop: emulated Chatwoots → the literal four-worker command → a sink that judges."""

import asyncio
from pathlib import Path

import pytest
from tests.support.gateway import Gateway, free_port, wait_for
from tests.support.load import INSTANCES, WHSEC, chatwoots

from comporta.testing.emulator import simulate
from comporta.testing.observed import SinkReport
from comporta.testing.simulation import SimulationPlan, SimulationSummary
from comporta.testing.sink import Sink
from comporta.testing.sink_connection import SinkBehaviour

ARRIVE_S = 20.0


def fleet(port: int) -> str:
    return f"""{INSTANCES}
[[destination]]
name = "sink"
url = "http://127.0.0.1:{port}/"
secret = "{WHSEC}"
retry = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
classes = {{ "*" = "ordered" }}
[[route]]
name = "tudo"
to = ["sink"]
"""


async def loop(gateway: Gateway, sink: Sink) -> tuple[SimulationSummary, SinkReport]:
    plan = SimulationPlan(chatwoots(gateway), rate_per_s=200, duration_s=3, seed=1)
    async with sink:
        summary = await simulate(plan)

        def arrived() -> bool:
            return sink.report().unique >= summary.accepted

        await asyncio.to_thread(wait_for, "all arrive", arrived, ARRIVE_S)
        return summary, sink.report()


@pytest.mark.parametrize(
    "behaviour",
    [SinkBehaviour(delay_s=0.01), SinkBehaviour("fail", share=0.1)],
    ids=["a good destination", "one that fails at times"],
)
def test_all_that_is_sent_is_accepted_and_arrives_once_and_in_order(
    tmp_path: Path, behaviour: SinkBehaviour
) -> None:
    port = free_port()
    sink = Sink(port=port, secret=WHSEC, behaviour=behaviour)
    with Gateway(tmp_path, fleet(port), workers=4) as gateway:
        summary, report = asyncio.run(loop(gateway, sink))
        assert summary.sent == summary.accepted > 500
        assert report.unique == summary.accepted
        assert (report.duplicates, report.disorder, report.missing) == (0, 0, 0)
        assert (report.bad_signatures, report.malformed, report.unmarked) == (0, 0, 0)
        health = gateway.get("/health").json
        assert (health["status"], health["dead"]) == ("ok", 0)
        wait_for("all is settled", lambda: gateway.get("/health").json["pending"] == 0)
        assert gateway.stop() == 0
    assert "Traceback" not in gateway.log
