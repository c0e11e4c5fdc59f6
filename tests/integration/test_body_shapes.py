"""Destinations with a shape, with headers of their own, or paused, through a running gateway."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import Webhook
from tests.integration.conftest import TOKEN, WHSEC
from tests.integration.receiver import Receiver
from tests.support.gateway import LIVE_S, Gateway, wait_for

from comporta.ledger.port import DeliveryFilter

KEY = "Bearer s3cret-of-the-crm"
FLEET = f"""
[[instance]]
name = "loja"
[[instance.source]]
name = "conta"
kind = "account"
token = "{TOKEN}"
[[destination]]
name = "raw"
url = "URL/raw"
[[destination]]
name = "ce"
url = "URL/ce"
format = "cloudevents"
[[destination]]
name = "bot"
url = "URL/bot"
secret = "{WHSEC}"
retry = []
format = "jmespath"
transform = "[@][?!private] | [0].{{ text: to_string(abs(number)), from: sender.name }}"
headers = {{ authorization = "file:KEY", x-shop = "loja-s3cret" }}
[[route]]
name = "tudo"
to = ["raw", "ce", "bot"]
"""


@pytest.fixture(scope="module")
def crm() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, crm: Receiver) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("shapes")
    (folder / "key").write_text(KEY)
    fleet = FLEET.replace("URL", crm.url).replace("KEY", str(folder / "key"))
    with Gateway(folder, fleet) as running:
        yield running


def send(gateway: Gateway, conversation: int, **more: object) -> bytes:
    fields = {"event": "message_created", "conversation": {"id": conversation}, **more}
    data = json.dumps(fields).encode()
    assert gateway.post(f"/webhook/{TOKEN}", data).status == 200
    return data


def states(gateway: Gateway, name: str) -> list[str]:
    fleet = gateway.ask(lambda stores: stores.ledger.fleet())
    (found,) = (one for one in fleet.destinations if one.name == name)
    which = DeliveryFilter(destination_id=found.id, limit=200)
    rows = gateway.ask(lambda stores: stores.ledger.deliveries(which))
    return [f"{row.state.value}: {row.reason}" for row in rows]


def test_each_destination_gets_the_shape_that_it_asks_for(gateway: Gateway, crm: Receiver) -> None:
    data = send(gateway, 1, number=-7, sender={"name": "Ana"})
    wait_for(
        "all three arrive", lambda: {one.path for one in crm.arrived} >= {"/raw", "/ce", "/bot"}
    )
    got = {one.path: one for one in crm.arrived}
    assert got["/raw"].body == got["/ce"].body == data
    assert got["/ce"].headers["ce-id"] == got["/raw"].headers["comporta-event-id"]
    assert got["/ce"].headers["ce-type"] == "com.chatwoot.message_created.v1"
    bot = got["/bot"]
    assert msgspec.json.decode(bot.body) == {"text": "7", "from": "Ana"}
    assert Webhook(WHSEC).verify(bot.body, bot.headers)
    assert bot.headers["authorization"] == KEY
    assert bot.headers["x-shop"] == "loja-s3cret"
    assert "authorization" not in got["/raw"].headers


def test_null_discards_and_what_cannot_be_shaped_is_dead_and_neither_is_sent(
    gateway: Gateway, crm: Receiver
) -> None:
    send(gateway, 2, private=True, number=1)
    send(gateway, 3, number="Maria")
    wait_for(
        "both are settled",
        lambda: (
            "discarded: the transform gave null" in states(gateway, "bot")
            and "dead: the transform failed on this event: JMESPathTypeError"
            in states(gateway, "bot")
        ),
    )
    assert len(crm.bodies("/bot")) == 1
    (dead,) = gateway.command("dead", "--destination", "bot")
    timeline = json.dumps(gateway.command("event", "show", dead["event_id"]))
    assert "Traceback" in timeline
    assert "Maria" not in gateway.log


def test_values_of_headers_are_in_no_log_no_file_and_no_command(gateway: Gateway) -> None:
    shown = [
        gateway.command("destination", "show", "bot"),
        gateway.command("destination", "list"),
        gateway.command("export"),
        gateway.command("apply", str(gateway.fleet_file), "--yes"),
        gateway.command("destination", "set", "bot", "--header", "x-other=s3cret-too"),
    ]
    said = json.dumps(shown).encode() + gateway.log.encode()
    said += b"".join(path.read_bytes() for path in gateway.data.rglob("*") if path.is_file())
    assert b"s3cret" not in said
    assert shown[0]["headers"] == ["authorization", "x-shop"]


def test_a_paused_destination_holds_everything_and_goes_on_when_it_is_resumed(
    gateway: Gateway, crm: Receiver
) -> None:
    gateway.command("destination", "pause", "raw", "ce", "--reason", "maintenance")
    wait_for(
        "health says so",
        lambda: [one for one in gateway.get("/health").json["problems"] if "raw, ce" in one],
    )
    time.sleep(LIVE_S)
    before = len(crm.bodies("/raw"))
    elsewhere = send(gateway, 4, number=4)
    wait_for("others go on", lambda: len(crm.bodies("/bot")) > 1)
    wait_for("it is owed", lambda: any(one.startswith("pending") for one in states(gateway, "raw")))
    assert len(crm.bodies("/raw")) == before
    gateway.command("destination", "resume", "--all")
    wait_for(
        "it arrives", lambda: elsewhere in crm.bodies("/raw") and elsewhere in crm.bodies("/ce")
    )
