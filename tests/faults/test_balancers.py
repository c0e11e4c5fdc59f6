"""Two servers behind nginx and behind HAProxy, with the files of `comporta deploy` as is.

The servers share Redis and PostgreSQL and nothing else. They are restarted one by one, one is
killed, one is frozen, all under load: a restart refuses nobody, a death at most what that server
had in its hands, and what was acknowledged arrives, byte for byte, in its conversation's order.
"""

import base64
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom

import msgspec
import pytest
from tests.support.gateway import ServedGateway, free_port, wait_for
from tests.support.load import EVERYTHING, INSTANCES, KINDS, SECRET, WHSEC, Judge, Load
from tests.support.servers.balancers import TWO, Balancer
from tests.support.servers.postgresql import Postgresql
from tests.support.servers.redis import RedisProcess

from comporta.deploy.kinds import Kind
from comporta.testing.simulation import SimulatedChatwoot, SimulationPlan
from comporta.testing.simulation import SimulationSummary as Summary
from comporta.testing.sink import Sink

PARTITIONS = 16
WORKERS = 2
RATE_PER_S = 100.0
CONCURRENCY = 10
LOAD_S_MAX = 240.0
LEAVE_S = 4
"""Longer than nginx keeps an idle connection; `comporta deploy` says 6."""
FROZEN_S = 8.0
TAKE_OVER_S = 40.0
"""On a busy machine; it takes seconds where nothing else runs."""
DRAIN_S = 60.0
SHARE_MIN = 0.25


class Scene(msgspec.Struct):
    """What happens is done to this."""

    kind: Kind
    balancer: Balancer
    servers: tuple[ServedGateway, ...]
    judge: Judge
    load: Load

    @property
    def failed(self) -> int:
        """Webhooks that were not acknowledged so far."""
        now = self.load.so_far
        return failures(now) if now else 0


def failures(summary: Summary) -> int:
    return summary.sent - summary.accepted


def are_settled(servers: tuple[ServedGateway, ...]) -> bool:
    """Whether each knows all of them, and they share the partitions evenly."""
    return all(one.is_ready() and knows_all(one, servers) for one in servers)


def knows_all(one: ServedGateway, servers: tuple[ServedGateway, ...]) -> bool:
    try:
        workers = one.get("/health").json["workers"] or []
    except OSError:
        return False
    pids = sorted(pid for server in servers for pid in server.workers)
    shares = [worker["partitions"] for worker in workers]
    known = sorted(worker["pid"] for worker in workers)
    return known == pids and sum(shares) == PARTITIONS and max(shares) - min(shares) <= 1


@contextmanager
def two_servers(folder: Path, fleet: str) -> Iterator[tuple[ServedGateway, ...]]:
    key = base64.b64encode(os.urandom(32)).decode()
    with ExitStack() as stack:
        ledger = stack.enter_context(Postgresql())
        redis = stack.enter_context(RedisProcess(folder / "redis"))
        made = []
        for name in ("comporta-1", "comporta-2"):
            one = ServedGateway(
                folder / name,
                fleet,
                workers=WORKERS,
                server=name,
                key=key,
                log=redis.url,
                state=redis.url,
                ledger=ledger.url(),
                leave_s=LEAVE_S,
                drain_s=5,
            )
            one.launch()
            stack.push(one.__exit__)
            wait_for("it is ready", one.is_ready)
            made.append(one)
        servers = tuple(made)
        wait_for("they share the partitions", lambda: are_settled(servers))
        yield servers


# What happens, and what may come of it


def nothing_special(scene: Scene) -> None:
    """Each server takes its share."""
    wait_for("there is traffic", scene.judge.more_than(300))
    taken = [accepted(one) for one in scene.servers]
    assert min(taken) > SHARE_MIN * sum(taken), taken
    assert scene.failed == 0


def accepted(server: ServedGateway) -> float:
    metrics = server.metrics()
    return sum(
        n for name, n in metrics.items() if name.startswith("comporta_events_accepted_total")
    )


def restart_each(scene: Scene) -> None:
    """One after the other, as an upgrade does; nobody is refused."""
    for one in scene.servers:
        before = scene.failed
        assert one.stop(20) == 0
        one.launch()
        wait_for("it is back", one.is_ready)
        time.sleep(1.5)  # until a balancer has seen it, and the summary has counted it
        assert scene.failed == before, scene.load.so_far
    wait_for("they share the partitions again", lambda: are_settled(scene.servers))


def kill_one(scene: Scene) -> None:
    """All of its processes: what it had in its hands is refused, what it owed is taken over."""
    before = scene.failed
    victim = scene.servers[0]
    victim.kill()
    time.sleep(1)
    owed = scene.judge.owed
    wait_for("the other has taken over", lambda: not owed & scene.judge.owed, TAKE_OVER_S)
    assert scene.failed - before <= CONCURRENCY * len(KINDS), scene.load.so_far
    victim.launch()
    wait_for("they share the partitions again", lambda: are_settled(scene.servers))


def freeze_one(scene: Scene) -> None:
    """It takes connections and says nothing: it gets hardly any, and those are all that is lost."""
    before = scene.failed
    victim = scene.servers[1]
    os.killpg(victim.pid, signal.SIGSTOP)
    try:
        time.sleep(3)  # until the balancer has found out
        answered = len(scene.judge.acknowledged)
        time.sleep(FROZEN_S - 3)
        passed = len(scene.judge.acknowledged) - answered
        assert passed > RATE_PER_S * (FROZEN_S - 3) * 0.8, passed
    finally:
        os.killpg(victim.pid, signal.SIGCONT)
    time.sleep(1)
    assert scene.failed - before <= CONCURRENCY * len(KINDS), scene.load.so_far
    wait_for("they share the partitions again", lambda: are_settled(scene.servers))


EVENTS: tuple[Callable[[Scene], None], ...] = (nothing_special, restart_each, kill_one, freeze_one)


def chatwoots(balancer: Balancer) -> tuple[SimulatedChatwoot, ...]:
    url = f"http://127.0.0.1:{balancer.port}/webhook"
    return tuple(
        SimulatedChatwoot(name, kind, f"{url}/token-of-the-instance-{name}", SECRET)
        for name, kind in KINDS.items()
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [Kind.NGINX, Kind.HAPROXY])
def test_servers_behind_a_balancer_come_and_go_and_what_was_acknowledged_arrives(
    kind: Kind, tmp_path: Path
) -> None:
    seed = SystemRandom().randrange(1_000_000)
    port, judge = free_port(), Judge()
    sink = Sink(port=port, secret=WHSEC, on_arrival=judge.arrival, seed=seed)
    fleet = INSTANCES + EVERYTHING.replace("URL", f"http://127.0.0.1:{port}/")
    with two_servers(tmp_path, fleet) as servers:
        named = [f"comporta-{n}=127.0.0.1:{one.port}" for n, one in enumerate(servers, 1)]
        with Balancer(kind, tmp_path / kind.value, TWO, named) as balancer:
            plan = SimulationPlan(
                chatwoots(balancer), RATE_PER_S, duration_s=LOAD_S_MAX, seed=seed, bot_retry_s=0.5
            )
            load = Load(sink, judge, plan)
            load.thread.start()
            try:
                load.listening.wait(10)
                load.begin.set()
                scene = Scene(kind, balancer, servers, judge, load)
                for happens in EVENTS:
                    before, began = scene.failed, time.monotonic()
                    happens(scene)
                    took_s = time.monotonic() - began
                    print(f"{happens.__name__}: {took_s:.1f} s, {scene.failed - before} failed")  # noqa: T201
                load.stop()
                wait_for("the load ends", lambda: load.over, 15)
                ended_at = time.monotonic()
                wait_for(f"nothing is owed; seed {seed}", lambda: not judge.owed, DRAIN_S)
                drained_s = time.monotonic() - ended_at
            finally:
                load.finish()
            assert "token-of-the-instance" not in balancer.logs
    print(judge.report(load.summary, drained_s))  # noqa: T201
    assert judge.disorder() == [], f"seed {seed}"
    assert load.summary is not None
    assert load.summary.ack_p99_ms < 2_000
