"""The fault test on every engine: the log's server dies, freezes and is cut off, workers die.

Each log is tried with PostgreSQL as the ledger and Redis as the state, as several servers have it.
Whatever is done: webhooks are answered all the while, and what was acknowledged is delivered, byte
for byte, in the order of its conversation.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Protocol

import msgspec
import pytest
from tests.support.gateway import Gateway, free_port, wait_for
from tests.support.load import EVERYTHING, INSTANCES, WHSEC, Judge, Load, chatwoots
from tests.support.proxy import Proxy
from tests.support.servers.kafka import Kafka
from tests.support.servers.postgresql import Postgresql
from tests.support.servers.rabbitmq import RabbitServer
from tests.support.servers.redis import RedisProcess

from comporta.log.spool.flags import Flags
from comporta.testing.simulation import SimulationPlan
from comporta.testing.sink import Sink
from comporta.testing.sink_connection import SinkBehaviour

PARTITIONS = 16
RATE_PER_S = 100.0
LOAD_S_MAX = 420.0
DOWN_S = 4.0
FROZEN_S = 20.0
SETTLED_S = 90.0
"""It takes seconds where nothing else runs; a busy machine starts processes slowly."""
DRAIN_S = 60.0
TAKE_OVER_S = 40.0
"""On a busy machine; within how many seconds partitions move is tested engine by engine."""
ANSWERED_MIN = 0.8
"""Of the webhooks that come in while the log's server is away: none waits for it twice."""
REPEATS_MAX = 0.05


BROKERS = {"redis": RedisProcess, "rabbitmq": RabbitServer}


class Server(Protocol):
    """A server that faults are done to."""

    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class Scene(msgspec.Struct):
    """What the faults are done to."""

    gateway: Gateway
    judge: Judge
    broker: Server
    ledger: Server
    state: Server
    proxy: Proxy | None


def kill_broker(scene: Scene) -> None:
    """Killed with its data kept, away for a while, started again."""
    scene.broker.kill()
    answered_meanwhile(scene, DOWN_S)
    scene.broker.restart()


def freeze_broker(scene: Scene) -> None:
    scene.broker.freeze()
    try:
        answered_meanwhile(scene, FROZEN_S)
    finally:
        scene.broker.thaw()


def cut_connections(scene: Scene) -> None:
    """In the middle of whatever is under way, several times."""
    if scene.proxy is None:
        pytest.skip("this client learns its server's address from the server")
    for _ in range(5):
        time.sleep(0.4)
        scene.proxy.cut()


def kill_worker(scene: Scene) -> None:
    """With its dispatch process: its partitions are taken over, and all that is owed comes."""
    pairs = wait_for("dispatch lives", lambda: list(scene.gateway.dispatchers.items()))
    for pid in pairs[0]:
        os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    owed = scene.judge.owed
    wait_for(
        "what was acknowledged until then has arrived",
        lambda: not owed & scene.judge.owed,
        TAKE_OVER_S,
    )


def restart_ledger(scene: Scene) -> None:
    scene.ledger.kill()
    time.sleep(DOWN_S)
    scene.ledger.restart()


def restart_state(scene: Scene) -> None:
    scene.state.kill()
    time.sleep(1)
    scene.state.restart()


def start_alone(scene: Scene) -> None:
    """Everything is down, the gateway as well. It comes back first, and takes in at once."""
    for server in (scene.broker, scene.ledger, scene.state):
        server.kill()
    scene.gateway.kill()
    scene.gateway.launch()
    wait_for("it is ready", scene.gateway.is_ready)
    answered_meanwhile(scene, DOWN_S)
    for server in (scene.state, scene.ledger, scene.broker):
        server.restart()


FAULTS: tuple[Callable[[Scene], None], ...] = (
    kill_broker,
    freeze_broker,
    cut_connections,
    kill_worker,
    restart_ledger,
    restart_state,
    start_alone,
)


def answered_meanwhile(scene: Scene, seconds: float) -> None:
    """While the log's server is away, Chatwoots are answered as ever, after the first moment."""
    time.sleep(1.5)
    before = len(scene.judge.acknowledged)
    time.sleep(seconds)
    answered = len(scene.judge.acknowledged) - before
    assert answered > RATE_PER_S * seconds * ANSWERED_MIN, f"{answered} in {seconds} s"


def is_well(scene: Scene) -> bool:
    """Nothing goes to the spool any more, and all partitions have owners."""
    flags = Flags(scene.gateway.data / "spool.flags", PARTITIONS)
    flags.open()
    spooling = flags.active
    flags.close()
    report = scene.gateway.get("/health").json
    return not spooling and report["status"] == "ok" and scene.gateway.is_settled()


def settle(scene: Scene, after: str) -> None:
    """Wait until all is well; show what the gateway says of itself if it is not."""
    try:
        wait_for(f"it is well after {after}", lambda: is_well(scene), SETTLED_S)
    except AssertionError:
        print(scene.gateway.get("/health").body.decode(), scene.gateway.metrics())  # noqa: T201
        raise


@contextmanager
def servers(engine: str, folder: Path) -> Iterator[tuple[Server, Proxy | None, str, Server, str]]:
    """The log's server, a proxy before it and its URL; the state's server and its URL."""
    with ExitStack() as stack:
        state = stack.enter_context(RedisProcess(folder / "state"))
        if engine == "kafka":
            kafka = stack.enter_context(Kafka(folder / engine))
            yield kafka, None, f"{kafka.url}/comporta", state, state.url
            return
        broker = stack.enter_context(BROKERS[engine](folder / engine))
        proxy = stack.enter_context(Proxy(broker.port))
        url = broker.url.replace(f":{broker.port}", f":{proxy.port}")
        yield broker, proxy, url, state, state.url


@pytest.mark.timeout(480)
@pytest.mark.parametrize("engine", [*BROKERS, "kafka"])
def test_whatever_happens_to_the_servers_what_was_acknowledged_arrives_whole_and_in_order(
    engine: str, tmp_path: Path
) -> None:
    seed = SystemRandom().randrange(1_000_000)
    port, judge = free_port(), Judge()
    behaviour = SinkBehaviour("fail", share=0.02)
    sink = Sink(port=port, secret=WHSEC, behaviour=behaviour, on_arrival=judge.arrival, seed=seed)
    fleet = INSTANCES + EVERYTHING.replace("URL", f"http://127.0.0.1:{port}/")
    with (
        Postgresql() as ledger,
        servers(engine, tmp_path) as (broker, proxy, url, state, state_url),
        Gateway(
            tmp_path / "gateway",
            fleet,
            workers=2,
            log=url,
            ledger=ledger.url(),
            state=state_url,
        ) as gateway,
    ):
        scene = Scene(gateway, judge, broker, ledger, state, proxy)
        plan = SimulationPlan(
            chatwoots(gateway), RATE_PER_S, duration_s=LOAD_S_MAX, seed=seed, bot_retry_s=0.5
        )
        load = Load(sink, judge, plan)
        load.thread.start()
        try:
            load.listening.wait(10)
            load.begin.set()
            for fault in FAULTS:
                wait_for(f"there is traffic; seed {seed}", judge.more_than(50))
                if fault is cut_connections and proxy is None:
                    continue
                began = time.monotonic()
                fault(scene)
                print(f"{fault.__name__}: {time.monotonic() - began:.1f} s")  # noqa: T201
                settle(scene, fault.__name__)
                print(f"well after {time.monotonic() - began:.1f} s")  # noqa: T201
            load.stop()
            wait_for("the load ends", lambda: load.over, 15)
            ended_at = time.monotonic()
            wait_for(f"nothing is owed; seed {seed}", lambda: not judge.owed, DRAIN_S)
            drained_s = time.monotonic() - ended_at
        finally:
            load.finish()
    print(judge.report(load.summary, drained_s))  # noqa: T201
    assert judge.disorder() == [], f"seed {seed}"
    assert judge.repeats < len(judge.arrived) * REPEATS_MAX, f"seed {seed}"
    summary = load.summary
    assert summary is not None
    assert summary.refused == {}
    assert summary.timeouts == 0  # connections are refused while no gateway runs
    assert summary.ack_p99_ms < 2_000
    assert "Traceback" not in gateway.log
