"""The fault test: four workers under load, killed one by one and all at once, and frozen.

Whatever is done to them: what was acknowledged is delivered, byte for byte, in the order of its
conversation. What is done is drawn from a seed, which is printed.
"""

import asyncio
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom

from tests.support.gateway import Gateway, free_port, wait_for

from comporta.domain.fleet import SourceKind
from comporta.testing.emulator import simulate
from comporta.testing.observed import Arrival
from comporta.testing.simulation import Acknowledged, SimulatedChatwoot, SimulationPlan
from comporta.testing.simulation import SimulationSummary as Summary
from comporta.testing.sink import Sink
from comporta.testing.sink_connection import SinkBehaviour

LOAD_S = 36.0
RATE_PER_S = 150.0
DRAIN_S = 30.0
FROZEN_S = 4.5
"""Longer than a lease: a frozen worker wakes up to find that its partitions are another's."""
REPEATS_MAX = 0.05
"""Of what arrived: an attempt whose outcome died with its worker is made again, and no more."""
SECRET = "k3VqWb9ZtR2mXy7LcN5dPs8A"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = {"loja-sp": SourceKind.ACCOUNT, "api": SourceKind.API_INBOX, "robo": SourceKind.AGENT_BOT}
FLEET = "".join(
    f"""
[[instance]]
name = "{name}"
[[instance.source]]
name = "fonte"
kind = "{kind}"
token = "token-of-the-instance-{name}"
secrets = ["{SECRET}"]
"""
    for name, kind in KINDS.items()
)
DESTINATION = f"""
[[destination]]
name = "sink"
url = "URL"
secret = "{WHSEC}"
timeout_s = 5
retry = [{", ".join(["0.5"] * 20)}]
[[route]]
name = "tudo"
to = ["sink"]
"""


class Judge:
    """Keeps what was acknowledged and what arrived, in order."""

    def __init__(self) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.arrived: list[Arrival] = []

    def arrival(self, arrival: Arrival) -> None:
        if arrival.status == 200:
            self.arrived.append(arrival)

    @property
    def owed(self) -> set[bytes]:
        """Digests of what was acknowledged and has not arrived."""
        return {one.digest for one in self.acknowledged} - {one.digest for one in self.arrived}

    def more_than(self, count: int) -> Callable[[], bool]:
        """Whether so many more than now were acknowledged."""
        now = len(self.acknowledged)
        return lambda: len(self.acknowledged) > now + count

    @property
    def repeats(self) -> int:
        return len(self.arrived) - len({one.digest for one in self.arrived})

    def disorder(self) -> list[tuple[str, str, list[int]]]:
        """Conversations whose acknowledged events first arrived in another order.

        An event that was not acknowledged (its worker was frozen until the Chatwoot gave up) may
        come late: nobody was promised anything about it.
        """
        known = {one.digest: one for one in self.acknowledged}
        order: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
        for arrival in self.arrived:
            ack = known.get(arrival.digest)
            if ack is not None:
                order[ack.chatwoot, ack.subject].setdefault(ack.seq)
        return [(*key, list(seqs)) for key, seqs in order.items() if list(seqs) != sorted(seqs)]


class Load:
    """Emulated Chatwoots and a sink, on a thread and event loop of their own."""

    def __init__(self, gateway: Gateway, port: int, judge: Judge, seed: int) -> None:
        self.summary: Summary | None = None
        self._gateway, self._port, self._judge, self._seed = gateway, port, judge, seed
        self._done = threading.Event()
        self.listening = threading.Event()
        self.begin = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    @property
    def over(self) -> bool:
        return self.summary is not None

    def finish(self) -> None:
        self.begin.set()
        self._done.set()
        self.thread.join()

    async def _run(self) -> None:
        sink = Sink(
            port=self._port,
            secret=WHSEC,
            behaviour=SinkBehaviour("fail", share=0.03),
            on_arrival=self._judge.arrival,
            seed=self._seed,
        )
        async with sink:
            self.listening.set()
            await asyncio.to_thread(self.begin.wait)
            self.summary = await simulate(self._plan(), on_ack=self._judge.acknowledged.append)
            await asyncio.to_thread(self._done.wait)

    def _plan(self) -> SimulationPlan:
        chatwoots = tuple(
            SimulatedChatwoot(
                name, kind, f"{self._gateway.url}/webhook/token-of-the-instance-{name}", SECRET
            )
            for name, kind in KINDS.items()
        )
        return SimulationPlan(
            chatwoots, RATE_PER_S, duration_s=LOAD_S, seed=self._seed, bot_retry_s=0.5
        )


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
    fleet = FLEET + DESTINATION.replace("URL", f"http://127.0.0.1:{port}/")
    with Gateway(tmp_path, fleet, workers=4) as gateway:
        load = Load(gateway, port, judge, seed)
        load.thread.start()
        try:
            load.listening.wait(10)
            load.begin.set()
            for fault in faults:
                wait_for(f"there is traffic; seed {seed}", judge.more_than(50))
                time.sleep(random.uniform(0, 1))
                fault(gateway, random)
            assert not load.over, "the load ended before the faults did"
            wait_for("the load ends", lambda: load.over, LOAD_S + 15)
            ended_at = time.monotonic()
            wait_for(f"nothing is owed; seed {seed}", lambda: not judge.owed, DRAIN_S)
            drained_s = time.monotonic() - ended_at
            wait_for("the gateway is whole again", gateway.is_settled)
        finally:
            load.finish()
    report(judge, load.summary, drained_s)
    assert judge.disorder() == [], f"seed {seed}"
    assert len(judge.acknowledged) > RATE_PER_S * LOAD_S / 4
    assert judge.repeats < len(judge.arrived) * REPEATS_MAX, f"seed {seed}"
    assert "Traceback" not in gateway.log


def report(judge: Judge, summary: Summary | None, drained_s: float) -> None:
    unknown = {one.digest for one in judge.arrived} - {one.digest for one in judge.acknowledged}
    times = Counter(Counter(one.digest for one in judge.arrived).values())
    print(  # noqa: T201
        f"acknowledged {len(judge.acknowledged)}, arrived {len(judge.arrived)}, "
        f"repeats {judge.repeats} ({dict(times)}), not acknowledged but arrived {len(unknown)}, "
        f"drained in {drained_s:.1f} s; {summary}"
    )
