"""The fault test: four workers under load, killed one by one and all at once, and frozen.

Whatever is done to them: what was acknowledged is delivered, byte for byte, in the order of its
conversation. What is done is drawn from a seed, which is printed.
"""

import os
import signal
import time
from pathlib import Path
from random import Random, SystemRandom

import pytest
from tests.support.gateway import Gateway, free_port, wait_for
from tests.support.load import EVERYTHING, INSTANCES, WHSEC, Judge, Load, chatwoots

from comporta.testing.simulation import SimulationPlan
from comporta.testing.sink import Sink
from comporta.testing.sink_connection import SinkBehaviour

LOAD_S_MAX = 150.0
ACKNOWLEDGED_MIN = 1_000
RATE_PER_S = 150.0
DRAIN_S = 30.0
FROZEN_S = 4.5
"""Longer than a lease: a frozen worker wakes up to find that its partitions are another's."""
REPEATS_MAX = 0.05
"""Of what arrived: an attempt whose outcome died with its worker is made again, and no more."""


def kill_worker(gateway: Gateway, random: Random) -> None:
    os.kill(random.choice(gateway.workers), signal.SIGKILL)


def kill_dispatch(gateway: Gateway, random: Random) -> None:
    os.kill(random.choice(_dispatchers(gateway))[1], signal.SIGKILL)


def kill_pair(gateway: Gateway, random: Random) -> None:
    for pid in random.choice(_dispatchers(gateway)):
        os.kill(pid, signal.SIGKILL)


def kill_all(gateway: Gateway, _random: Random) -> None:
    gateway.kill()
    gateway.launch()


def freeze_worker(gateway: Gateway, random: Random) -> None:
    _freeze(random.choice(gateway.workers))


def freeze_dispatch(gateway: Gateway, random: Random) -> None:
    _freeze(random.choice(_dispatchers(gateway))[1])


def _dispatchers(gateway: Gateway) -> list[tuple[int, int]]:
    """Pairs of a worker and its dispatch process; waits until there is one."""
    return wait_for("a dispatch process lives", lambda: list(gateway.dispatchers.items()))


def _freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(FROZEN_S)
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(240)
def test_whatever_is_killed_what_was_acknowledged_arrives_whole_and_in_order(
    tmp_path: Path,
) -> None:
    seed = SystemRandom().randrange(1_000_000)
    random = Random(seed)  # noqa: S311  (which worker dies is no secret)
    faults = [kill_worker, kill_dispatch, kill_pair, kill_all] * 2
    faults += [freeze_worker, freeze_dispatch]
    random.shuffle(faults)
    print(f"seed {seed}: {[fault.__name__ for fault in faults]}")  # noqa: T201
    port, judge = free_port(), Judge()
    sink = Sink(
        port=port,
        secret=WHSEC,
        behaviour=SinkBehaviour("fail", share=0.03),
        on_arrival=judge.arrival,
        seed=seed,
    )
    fleet = INSTANCES + EVERYTHING.replace("URL", f"http://127.0.0.1:{port}/")
    with Gateway(tmp_path, fleet, workers=4) as gateway:
        plan = SimulationPlan(
            chatwoots(gateway), RATE_PER_S, duration_s=LOAD_S_MAX, seed=seed, bot_retry_s=0.5
        )
        load = Load(sink, judge, plan)
        load.thread.start()
        try:
            load.listening.wait(10)
            load.begin.set()
            for fault in faults:
                wait_for(f"there is traffic; seed {seed}", judge.more_than(50))
                time.sleep(random.uniform(0, 1))
                fault(gateway, random)
            wait_for(f"it goes on; seed {seed}", judge.more_than(50))
            assert not load.over, "the load ended before the faults did"
            load.stop()
            wait_for("the load ends", lambda: load.over)
            ended_at = time.monotonic()
            wait_for(f"nothing is owed; seed {seed}", lambda: not judge.owed, DRAIN_S)
            drained_s = time.monotonic() - ended_at
            wait_for("the gateway is whole again", gateway.is_settled)
        finally:
            load.finish()
    print(judge.report(load.summary, drained_s))  # noqa: T201
    assert judge.disorder() == [], f"seed {seed}"
    assert len(judge.acknowledged) > ACKNOWLEDGED_MIN
    assert judge.repeats < len(judge.arrived) * REPEATS_MAX, f"seed {seed}"
    assert "Traceback" not in gateway.log
