"""A destination that is down, before two workers: its breaker opens, nothing is spent or lost."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

from comporta.domain.breaker import Breaker, BreakerState
from comporta.ledger.port import DeliveryFilter, DeliveryRow

FLEET = """
[[instance]]
name = "loja"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-instance-loja"
[[destination]]
name = "crm"
url = "URL/crm"
retry = [20, 20, 20]
[[route]]
name = "all"
to = ["crm"]
"""
CONVERSATIONS = 40


class House:
    """A gateway, its destination, and what its stores say."""

    def __init__(self, gateway: Gateway, crm: Receiver) -> None:
        self.gateway, self.crm = gateway, crm
        self.sent: dict[int, list[bytes]] = defaultdict(list)

    def send(self, conversation: int) -> None:
        number = len(self.sent[conversation])
        event = {"event": "message_created", "conversation": {"id": conversation}}
        data = json.dumps(event | {"id": conversation * 1000 + number}).encode()
        assert self.gateway.post("/webhook/token-of-the-instance-loja", data).status == 200
        self.sent[conversation].append(data)

    def breaker(self) -> Breaker | None:
        found = self.gateway.ask(lambda stores: stores.state.breakers())
        return next(iter(found.values()), None)

    def deliveries(self) -> list[DeliveryRow]:
        return self.gateway.ask(lambda s: s.ledger.deliveries(DeliveryFilter(limit=1000)))

    def arrived(self) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = defaultdict(list)
        for data in self.crm.bodies():
            found[json.loads(data)["conversation"]["id"]].append(data)
        return found


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Receiver() as crm:
        folder = tmp_path_factory.mktemp("outage")
        with Gateway(folder, FLEET.replace("URL", crm.url), workers=2) as gateway:
            yield House(gateway, crm)
        assert "Traceback" not in gateway.log


def test_open_means_deferred_and_all_workers_go_on_once_a_probe_succeeds(house: House) -> None:
    for conversation in range(CONVERSATIONS):
        house.send(conversation)
    wait_for("all arrive", lambda: len(house.crm.bodies()) == CONVERSATIONS)

    house.crm.decide = lambda _path, _body: 503
    down_at_s = time.monotonic()
    while (breaker := house.breaker()) is None:
        assert time.monotonic() < down_at_s + 15, "it does not open"
        house.send(int(time.monotonic() * 20) % CONVERSATIONS)
        time.sleep(0.05)
    assert breaker.state is not BreakerState.CLOSED
    assert breaker.reason == "HTTP 503"
    time.sleep(0.5)  # until the other worker has learned of it
    tried = len(house.crm.arrived)
    for conversation in range(CONVERSATIONS):
        house.send(conversation)
    time.sleep(2)
    assert len(house.crm.arrived) - tried <= 3, "probes and nothing else"
    assert "crm" in " ".join(house.gateway.get("/health").json["problems"])

    house.crm.decide = lambda _path, _body: 200
    wait_for("a probe closes it", lambda: house.breaker() is None, 15)
    total = sum(map(len, house.sent.values()))
    wait_for("all arrive", lambda: len(house.crm.bodies()) == total, 40)
    assert house.arrived() == house.sent
    wait_for("all is settled", lambda: {row.state for row in house.deliveries()} == {"delivered"})
    assert max(row.attempts for row in house.deliveries()) <= 3, "few before it opened, one after"
