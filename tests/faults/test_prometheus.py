"""From a fault to a message: real Prometheus and Alertmanager before gateways that run.

One gateway has four workers and files, the other two servers with Redis and PostgreSQL. A
destination stops, an instance goes silent and a broker freezes, at the same time; somebody is told
of each, and told again when it is over. Rules are those of `deploy/prometheus` in a quicker time.
"""

import base64
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import ROOT, Gateway, ServedGateway, wait_for
from tests.support.servers.postgresql import Postgresql
from tests.support.servers.program import Program, free_port, listens
from tests.support.servers.prometheus import Alertmanager, Prometheus
from tests.support.servers.redis import RedisProcess

SHOPS = ("loja-sp", "loja-rio", "loja-bh")
"""Two go on: a breaker wants to see that more than one instance fails."""
SILENT = "loja-bh"
FLEET = "".join(
    f"""
[[instance]]
name = "{name}"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-account-of-{name}"
"""
    for name in SHOPS
)
ROUTE = """
[[destination]]
name = "crm"
url = "http://127.0.0.1:PORT/"
[[route]]
name = "tudo"
to = ["crm"]
"""
PAUSE_S = 0.15
"""Between the calls of an instance: some eighty in the window of which thirty are asked for."""
TOLD_S = 60.0
ENOUGH = 'increase(comporta_events_accepted_total{job="comporta-one"}[12s] offset 4s) > 30'
"""What silence is measured against is there for all three instances."""

MENDED = (
    'comporta_breaker_state{job="comporta-one",destination="crm"} == 0',
    'time() - comporta_last_event_timestamp_seconds{job="comporta-one",chatwoot="loja-bh"} < 6',
    'count(comporta_spool_active{job="comporta-two"} == 0) == 2',
)
"""It is over because all is well, and not because nobody knows any more."""


class Callers:
    """One thread for each instance of each gateway that calls, again and again, while it may."""

    def __init__(self, *servers: Gateway) -> None:
        self.silent: set[str] = set()
        self._ends, self._numbers = threading.Event(), count()
        self._threads = [
            threading.Thread(target=self._call, args=(server, shop))
            for server in servers
            for shop in SHOPS
        ]

    def _call(self, server: Gateway, shop: str) -> None:
        while not self._ends.wait(PAUSE_S):
            if shop not in self.silent:
                number = next(self._numbers)
                body = b'{"event":"message_created","id":%d,"conversation":{"id":%d}}'
                answer = server.post(
                    f"/webhook/token-of-the-account-of-{shop}", body % (number, number % 50)
                )
                assert answer.status == 200

    @contextmanager
    def calling(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ends.set()
            for thread in self._threads:
                thread.join()


class Told(msgspec.Struct, frozen=True):
    """What a message has to be about."""

    alertname: str
    job: str
    label: str
    value: str

    @property
    def labels(self) -> dict[str, str]:
        return {"alertname": self.alertname, "job": self.job, self.label: self.value}


class Duty:
    """Whoever Alertmanager tells: the messages that came, alert by alert."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def heard(self, status: str, told: Told) -> dict[str, Any] | None:
        """What it was told of it, if a message has said so."""
        for arrived in self._receiver.arrived:
            for alert in msgspec.json.decode(arrived.body)["alerts"]:
                if alert["status"] == status and told.labels.items() <= alert["labels"].items():
                    found: dict[str, Any] = alert
                    return found
        return None

    def wait(self, status: str, told: Told) -> dict[str, Any]:
        return wait_for(f"{told} is {status}", lambda: self.heard(status, told), TOLD_S) or {}


class Scene(msgspec.Struct):
    """What runs."""

    one: Gateway
    two: tuple[ServedGateway, ...]
    broker: RedisProcess
    crm: Program
    callers: Callers


def sink(folder: Path, port: int) -> Program:
    command = [sys.executable, "-m", "comporta.cli", "sink", "--port", str(port)]
    return Program(command, folder, lambda: listens(port), {"PYTHONPATH": str(ROOT / "src")})


@contextmanager
def running(folder: Path) -> Iterator[Scene]:
    port = free_port()
    fleet = FLEET + ROUTE.replace("PORT", str(port))
    key = base64.b64encode(os.urandom(32)).decode()
    with ExitStack() as stack:
        one = Gateway(folder / "one", fleet, workers=4)
        stack.push(one.__exit__)
        one.launch()
        crm = sink(folder / "crm", port)
        stack.callback(crm.kill)
        crm.start()
        ledger = stack.enter_context(Postgresql())
        broker, state = (stack.enter_context(RedisProcess(folder / x)) for x in ("log", "state"))
        stack.callback(broker.thaw)  # before anything ends: who waits for it shall not
        engines = {"log": broker.url, "state": state.url, "ledger": ledger.url(), "key": key}
        two = tuple(
            ServedGateway(folder / name, fleet, workers=1, server=name, **engines)
            for name in ("a", "b")
        )
        for server in two:
            stack.push(server.__exit__)
            server.launch()
        for each in (one, *two):
            wait_for("it is ready", each.is_ready)
        callers = Callers(one, *two)
        with callers.calling():
            yield Scene(one, two, broker, crm, callers)


@contextmanager
def watched(folder: Path, scene: Scene) -> Iterator[tuple[Prometheus, Duty]]:
    jobs = {"comporta-one": [scene.one.port], "comporta-two": [one.port for one in scene.two]}
    with (
        Receiver() as receiver,
        Alertmanager(folder / "alertmanager", receiver.url) as alertmanager,
        Prometheus(folder / "prometheus", jobs, alertmanager) as prometheus,
    ):
        yield prometheus, Duty(receiver)


def faults(scene: Scene) -> dict[Callable[[], None], tuple[Told, ...]]:
    """What mends it → what is told of it. It has happened when this returns."""
    scene.crm.kill()
    scene.callers.silent.add(SILENT)
    scene.broker.freeze()
    spools = tuple(
        Told("ComportaSpoolInUse", "comporta-two", "instance", f"127.0.0.1:{one.port}")
        for one in scene.two
    )
    silence = Told("ComportaInstanceSilent", "comporta-one", "chatwoot", SILENT)
    return {
        scene.crm.start: (Told("ComportaBreakerOpen", "comporta-one", "destination", "crm"),),
        scene.callers.silent.clear: (silence,),
        scene.broker.thaw: spools,
    }


@pytest.mark.timeout(200)
def test_who_is_on_duty_is_told_of_each_fault_and_told_when_it_is_over(tmp_path: Path) -> None:
    with running(tmp_path) as scene, watched(tmp_path, scene) as (prometheus, duty):
        wait_for("there is a past", lambda: len(prometheus.ask(ENOUGH)) == len(SHOPS))
        happened = faults(scene)
        expected = [told for several in happened.values() for told in several]
        assert not [told for told in expected if duty.heard("firing", told)]
        for mend, several in happened.items():
            for told in several:
                alert = duty.wait("firing", told)
                assert alert["labels"]["severity"] == "page"
                assert told.value in alert["annotations"]["summary"]
                assert told.value in alert["annotations"]["description_pt_br"]
            mend()
        for told in expected:
            duty.wait("resolved", told)
        for mended in MENDED:
            wait_for(mended, partial(prometheus.ask, mended), TOLD_S)
