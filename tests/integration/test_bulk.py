"""Discard, redrive and replay of many deliveries, typed beside a running gateway."""

import time
from collections.abc import Iterator

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import LIVE_S, Gateway, wait_for

TOKEN = "token-of-the-shop-in-bulk"
FLEET = f"""
[[instance]]
name = "loja"
[[instance.source]]
name = "conta"
kind = "account"
token = "{TOKEN}"
[[destination]]
name = "crm"
url = "URL/crm"
retry = []
[[destination]]
name = "archive"
url = "URL/archive"
[[route]]
name = "all"
instances = ["*"]
to = ["crm"]
"""


def event(conversation: int, number: int) -> bytes:
    fields = {"event": "message_created", "conversation": {"id": conversation}, "id": number}
    return msgspec.json.encode(fields)


class House:
    """A gateway and what it delivers to, whose first destination can refuse some events."""

    def __init__(self, gateway: Gateway, crm: Receiver) -> None:
        self.gateway, self.crm = gateway, crm
        self.refused: set[bytes] = set()
        crm.decide = lambda _path, body: 500 if body in self.refused else 200

    def send(self, conversation: int, number: int) -> bytes:
        data = event(conversation, number)
        assert self.gateway.post(f"/webhook/{TOKEN}", data).status == 200
        return data

    def count(self, state: str) -> int:
        found = self.gateway.command("deliveries", "--state", state, "--limit", "1000")
        return len(found)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Receiver() as crm:
        folder = tmp_path_factory.mktemp("bulk")
        with Gateway(folder, FLEET.replace("URL", crm.url), workers=2) as gateway:
            yield House(gateway, crm)
        assert "Traceback" not in gateway.log


def test_what_waits_for_a_destination_is_discarded_redriven_and_replayed(house: House) -> None:
    gateway, crm = house.gateway, house.crm
    # Discard, while it waits for a destination that somebody has paused.
    gateway.command("destination", "pause", "crm", "--reason", "moving house")
    time.sleep(LIVE_S)
    unwanted = [house.send(conversation, number) for conversation in (1, 2) for number in (1, 2)]
    wait_for("all wait", lambda: house.count("pending") == 4)
    done = gateway.command("discard", "--destination", "crm", "--reason", "not needed", "--yes")
    assert done == {"matched": 4, "discarded": 4, "without_body": 0}
    gateway.command("destination", "resume", "crm")
    # Redrive, of what this destination has refused: a few, for all would be an outage.
    house.refused = {event(conversation, 3) for conversation in (5, 10, 15)}
    sent = [house.send(conversation, 3) for conversation in range(1, 21)]
    wait_for("some are dead", lambda: house.count("dead") == 3)
    house.refused.clear()
    assert gateway.command("redrive", "--failed-with", "HTTP 500", "--yes")["redriven"] == 3
    wait_for("all arrive", lambda: len(crm.bodies("/crm")) == 20)
    assert sorted(crm.bodies("/crm")) == sorted(sent)
    assert not set(unwanted) & {one.body for one in crm.arrived}
    # Replay, elsewhere and at a rate.
    wait_for("the ledger has them", lambda: house.count("delivered") == 20)
    chosen = ("--destination", "crm", "--to", "archive", "--speed", "10/s", "--yes")
    assert gateway.command("replay", *chosen)["replayed"] == 20
    wait_for("all arrive there", lambda: len(crm.bodies("/archive")) == 20)
    times = [one.at_s for one in crm.arrived if one.path == "/archive"]
    assert 1.8 < times[-1] - times[0] < 3.5, "twenty at ten a second take 1.9 s"
    assert max(sum(t <= one < t + 0.5 for one in times) for t in times) <= 8, "evenly"
    assert sorted(crm.bodies("/archive")) == sorted(sent)
    # And who did it.
    audit = gateway.command("audit")
    assert [one["what"] for one in audit] == [
        *("replay", "redrive", "fleet", "discard", "fleet", "fleet")
    ]
    assert [one["count"] for one in audit] == [20, 3, None, 4, None, None]
    assert {one["who"].partition(":")[0] for one in audit} == {"cli", "start"}
    assert audit[0]["which"] == {"destination": "crm", "to": "archive", "speed": "10/s"}
    assert audit[3]["which"] == {"destination": "crm", "because": "not needed"}


def test_a_paced_replay_can_be_stopped(house: House) -> None:
    gateway, crm = house.gateway, house.crm
    for number in range(5):
        house.send(77, number)
    wait_for("all are there", lambda: house.count("delivered") >= 5)
    before = len(crm.bodies("/archive"))
    arguments = ("--since", "1h", "--to", "archive", "--speed", "1/min", "--yes")
    made = gateway.command("replay", *arguments)["replayed"]
    wait_for("the first goes out", lambda: len(crm.bodies("/archive")) == before + 1)
    stopped = gateway.command("discard", "--destination", "archive", "--state", "scheduled", "-y")
    assert stopped["discarded"] == made - 1
    assert house.count("scheduled") == 0
