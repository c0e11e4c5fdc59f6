"""What becomes of accepted events, through a running gateway: order, retries, dead letters."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook
from tests.integration.conftest import WHSEC
from tests.integration.receiver import Arrived, Receiver
from tests.support.gateway import LIVE_S, Gateway, wait_for

from comporta.ledger.port import DeliveryFilter, DeliveryRow, EventFilter

RETRIES = {
    "order": [0.2] * 12,
    "lane": [0.2] * 40,
    "later": [0.2] * 3,
    "gone": [0.2],
    "dead": [0.2, 0.2],
    "redirect": [],
    "signed": [0.2] * 3,
    "slow": [0.2] * 30,
    "replay": [],
}
"""One instance, destination and route for each test → the destination's schedule."""

WHERE = """
[[instance]]
name = "where"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-instance-where"
[[destination]]
name = "incoming"
url = "URL/incoming"
[[destination]]
name = "inboxes"
url = "URL/inboxes"
[[route]]
name = "incoming"
instances = ["wh*"]
events = ["message_*"]
where = { message_type = "incoming", private = false }
to = ["incoming"]
[[route]]
name = "inboxes"
instances = ["where"]
events = ["*"]
where = { inbox_id = [12, 14] }
to = ["inboxes", "incoming"]
[[destination]]
name = "vip"
url = "URL/vip"
[[route]]
name = "vip"
instances = ["where"]
to = ["vip"]
[route.where]
labels = { any = ["vip", "ouro"], all = ["pago"] }
content.regex = "(?i)^/(ajuda|oi)"
custom_attributes.plano = "gold"
not = { sender_type = "agent_bot", private = true }
[[destination]]
name = "fast"
url = "URL/fast"
[[route]]
name = "beside-slow"
instances = ["slow"]
to = ["fast"]
"""


def fleet(url: str) -> str:
    parts = [
        f"""
[[instance]]
name = "{name}"
[[instance.source]]
name = "conta"
kind = "account"
token = "{token(name)}"
[[destination]]
name = "{name}"
url = "{url}/{name}"
secret = "{WHSEC}"
timeout_s = 2
retry = {retry}
[[route]]
name = "{name}"
instances = ["{name}"]
to = ["{name}"]
"""
        for name, retry in RETRIES.items()
    ]
    return "".join(parts) + WHERE.replace("URL", url)


def token(name: str) -> str:
    return f"token-of-the-instance-{name}"


class House:
    """A gateway, and a receiver whose answers are set path by path."""

    def __init__(self, gateway: Gateway, crm: Receiver) -> None:
        self.gateway, self.crm = gateway, crm
        self.rules: dict[str, Callable[[bytes], int]] = {}
        crm.decide = self._decide

    def _decide(self, path: str, data: bytes) -> int:
        rule = self.rules.get(path)
        return rule(data) if rule else 200

    def send(self, name: str, conversation: int, number: int, **more: Any) -> bytes:
        """Send an event of a conversation; its body."""
        data = body(conversation, number, **more)
        answer = self.gateway.post(f"/webhook/{token(name)}", data)
        assert answer.status == 200
        return data

    def tries(self, name: str) -> list[Arrived]:
        return [one for one in self.crm.arrived if one.path == f"/{name}"]

    def deliveries(self, name: str) -> list[DeliveryRow]:
        fleet = self.gateway.ask(lambda stores: stores.ledger.fleet())
        (found,) = (one for one in fleet.destinations if one.name == name)
        which = DeliveryFilter(destination_id=found.id, limit=200)
        return self.gateway.ask(lambda stores: stores.ledger.deliveries(which))

    def states(self, name: str) -> list[str]:
        return sorted(row.state.value for row in self.deliveries(name))


def body(conversation: int, number: int, **more: Any) -> bytes:
    fields = {"event": "message_created", "conversation": {"id": conversation}, "id": number}
    return msgspec.json.encode(fields | more)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Receiver() as crm:
        folder = tmp_path_factory.mktemp("dispatch")
        with Gateway(folder, fleet(crm.url), workers=2) as gateway:
            yield House(gateway, crm)
        assert "Traceback" not in gateway.log


def test_order_is_kept_in_every_conversation_while_a_third_of_the_attempts_fail(
    house: House,
) -> None:
    random = Random(7)  # noqa: S311
    house.rules["/order"] = lambda _body: random.choice((200, 200, 503))
    sent: dict[int, list[bytes]] = defaultdict(list)
    for number in range(8):
        for conversation in range(1, 9):
            sent[conversation].append(house.send("order", conversation, number))
    wait_for("all arrive", lambda: len(house.crm.bodies("/order")) == 64)
    got: dict[int, list[bytes]] = defaultdict(list)
    for data in house.crm.bodies("/order"):
        got[json.loads(data)["conversation"]["id"]].append(data)
    assert got == sent
    assert len(house.tries("order")) > 70, "some did fail"


def test_a_failing_event_holds_up_its_own_conversation_and_no_other(house: House) -> None:
    healed = threading.Event()
    first = body(1, 0)
    house.rules["/lane"] = lambda data: 200 if data != first or healed.is_set() else 500
    mine = [house.send("lane", 1, number) for number in range(4)]
    others = {house.send("lane", other, 0) for other in range(2, 42)}
    wait_for("the others arrive", lambda: others <= set(house.crm.bodies("/lane")), 5)
    wait_for("it is tried again", lambda: [t.body for t in house.tries("lane")].count(first) >= 3)
    assert not set(mine[1:]) & {one.body for one in house.tries("lane")}
    assert house.states("lane").count("scheduled") == 1
    healed.set()
    wait_for("its own arrive", lambda: set(mine) <= set(house.crm.bodies("/lane")))
    assert [data for data in house.crm.bodies("/lane") if data in mine] == mine


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(house: House, form: str) -> None:
    name, number = "later", {"seconds": 1, "date": 2}[form]
    answers = iter([429])
    house.rules["/later"] = lambda _body: next(answers, 200)
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3))
    house.crm.answer_headers = {"Retry-After": "2" if form == "seconds" else stamp}
    try:
        data = house.send(name, number, number)
        wait_for("it arrives", lambda: data in house.crm.bodies("/later"))
    finally:
        house.crm.answer_headers = {}
    refused, taken = (one for one in house.tries(name) if one.body == data)
    assert 1.9 < taken.at_s - refused.at_s < 10


def test_410_pauses_the_destination_and_resuming_it_goes_on_in_order(house: House) -> None:
    house.rules["/gone"] = lambda _body: 410
    sent = [house.send("gone", 5, number) for number in range(5)]
    health = wait_for(
        "health says so",
        lambda: [p for p in house.gateway.get("/health").json["problems"] if "gone" in p],
    )
    assert "destination list" in health[0]
    time.sleep(LIVE_S)
    sent += [house.send("gone", conversation, 9) for conversation in (5, 6, 7)]
    elsewhere = house.send("replay", 1, 99)
    wait_for("others go on", lambda: elsewhere in house.crm.bodies("/replay"))
    wait_for("all are recorded", lambda: house.states("gone") == ["pending"] * 8)
    tried = len(house.tries("gone"))
    assert tried <= 2, "it is not hammered until all workers know"
    house.rules["/gone"] = lambda _body: 200
    house.gateway.command("destination", "resume", "gone")
    wait_for("all arrive", lambda: set(sent) <= set(house.crm.bodies("/gone")))
    mine = [d for d in house.crm.bodies("/gone") if json.loads(d)["conversation"]["id"] == 5]
    assert mine == sent[:6]
    assert len(house.tries("gone")) == tried + 8, "nothing was tried while it was paused"


def test_after_its_schedule_a_delivery_is_dead_its_lane_goes_on_and_a_redrive_brings_it(
    house: House,
) -> None:
    bad = [body(8, 1), body(8, 2)]
    house.rules["/dead"] = lambda data: 500 if data in bad else 200
    for number in range(4):
        house.send("dead", 8, number)
    wait_for("two are dead", lambda: house.states("dead") == ["dead"] * 2 + ["delivered"] * 2)
    assert [one.body for one in house.tries("dead") if one.body in bad] == [
        *([bad[0]] * 3),
        *([bad[1]] * 3),
    ]
    (listed, _other) = house.gateway.command("dead", "--destination", "dead")
    assert listed["reason"] == "HTTP 500"
    house.rules["/dead"] = lambda _body: 200
    done = house.gateway.command("redrive", "--destination", "dead", "--yes")
    assert done == {"matched": 2, "redriven": 2, "without_body": 0}
    wait_for("they arrive", lambda: house.crm.bodies("/dead")[2:] == bad)
    wait_for("all is well", lambda: house.states("dead") == ["delivered"] * 4)


def test_a_replay_is_a_new_delivery_of_the_same_bytes(house: House) -> None:
    sent = [house.send("replay", 20 + number, number) for number in range(3)]
    wait_for("they arrive", lambda: set(sent) <= set(house.crm.bodies("/replay")))
    wait_for("they are settled", lambda: set(house.states("replay")) == {"delivered"})
    event = next(e for e in house.gateway.command("events", "--conversation", "21"))
    assert house.gateway.command("replay", "--event", event["id"], "--yes")["replayed"] == 1
    wait_for("it comes again", lambda: house.crm.bodies("/replay").count(sent[1]) == 2)
    first, again = (one for one in house.tries("replay") if one.body == sent[1])
    assert first.headers["webhook-id"] != again.headers["webhook-id"]
    assert first.headers["comporta-event-id"] == again.headers["comporta-event-id"] == event["id"]


def test_a_redirect_is_not_followed(house: House) -> None:
    house.rules["/redirect"] = lambda _body: 307
    house.crm.answer_headers = {"Location": f"{house.crm.url}/elsewhere"}
    house.send("redirect", 1, 1)
    wait_for("it is dead", lambda: house.states("redirect") == ["dead"])
    house.crm.answer_headers = {}
    assert not house.tries("elsewhere")
    assert house.deliveries("redirect")[0].reason == "HTTP 307"


def test_a_delivery_is_signed_and_carries_what_chatwoot_sent(house: House) -> None:
    answers = iter([503])
    house.rules["/signed"] = lambda _body: next(answers, 200)
    data = '{ "event":"message_created",  "content":"Olá\\u0021 🚪", "n": 1.50 }'.encode()
    chatwoots = {
        "X-Chatwoot-Delivery": "5b0c7d3e-0000-4000-8000-000000000001",
        "X-Chatwoot-Timestamp": "1787580192",
        "X-Chatwoot-Signature": "sha256=" + "0" * 64,
        "Content-Type": "application/json; charset=utf-8",
    }
    others = {"Cookie": "a=b", "X-Other": "c", "Authorization": f"Bearer {token('signed')}"}
    assert house.gateway.post("/webhook", data, {**chatwoots, **others}).status == 200
    wait_for("it arrives", lambda: house.crm.bodies("/signed") == [data])
    tries = house.tries("signed")
    assert len(tries) == 2
    assert len({one.headers["webhook-id"] for one in tries}) == 1
    for one in tries:
        assert Webhook(WHSEC).verify(one.body, one.headers) == json.loads(data)
        assert {name: one.headers[name.lower()] for name in chatwoots} == chatwoots
        assert one.headers["comporta-instance"] == "signed"
        assert one.headers["comporta-event-id"].startswith("evt_")
        assert one.headers["user-agent"].startswith("comporta/")
        assert not {"cookie", "x-other", "authorization"} & one.headers.keys()


def test_matchers_choose_by_fields_and_an_event_comes_once_to_each_destination(
    house: House,
) -> None:
    def send(conversation: int, **fields: Any) -> bytes:
        return house.send("where", conversation, conversation, **fields)

    both = send(1, message_type="incoming", private=False, inbox={"id": 12})
    only_incoming = send(2, message_type="incoming", private=False, inbox={"id": 13})
    by_inbox = send(3, message_type="outgoing", private=False, inbox={"id": 14})
    private = send(4, message_type="incoming", private=True, inbox={"id": 99})
    not_exactly = send(5, message_type="incoming", private=0, inbox={"id": "12"})
    typing = send(6, event="conversation_typing_on", message_type="incoming", private=False)
    last = send(7, message_type="incoming", private=False, inbox={"id": 12})
    rows = EventFilter(limit=7, event_type=None)

    def settled() -> bool:
        return last in house.crm.bodies("/incoming") and last in house.crm.bodies("/inboxes")

    wait_for("the last arrives", settled)
    wait_for("all", lambda: len(house.gateway.ask(lambda s: s.ledger.events(rows))) == 7)
    assert sorted(house.crm.bodies("/incoming")) == sorted([both, only_incoming, by_inbox, last])
    assert sorted(house.crm.bodies("/inboxes")) == sorted([both, by_inbox, last])
    assert not {private, not_exactly, typing} & set(house.crm.bodies())


def test_labels_texts_and_attributes_choose_and_what_stands_in_not_excludes(house: House) -> None:
    def send(number: int, labels: list[str], content: str, **more: Any) -> bytes:
        talk = {"id": number, "labels": labels, "custom_attributes": {"plano": "gold"}}
        fields = {"event": "message_created", "conversation": talk, "content": content}
        data = msgspec.json.encode(fields | more)
        assert house.gateway.post(f"/webhook/{token('where')}", data).status == 200
        return data

    def recorded() -> bool:
        rows = house.gateway.ask(lambda s: s.ledger.events(EventFilter(limit=200)))
        return {f"conversation:{number}" for number in range(21, 28)} <= {r.subject for r in rows}

    first = send(21, ["vip", "pago"], "/AJUDA agora")
    send(22, ["vip"], "/ajuda")
    send(23, ["pago"], "/ajuda")
    send(24, ["ouro", "pago"], "ajuda")
    send(25, ["ouro", "pago"], "/ajuda", sender={"type": "agent_bot"})
    send(26, ["ouro", "pago"], "/ajuda", private=True)
    last = send(27, ["ouro", "pago", "novo"], "/oi", private=False, sender={"type": "user"})
    wait_for("all have their deliveries, if any", recorded)
    wait_for("both arrive", lambda: {first, last} <= set(house.crm.bodies("/vip")))
    assert len(house.deliveries("vip")) == 2
    assert sorted(house.crm.bodies("/vip")) == sorted([first, last])


def test_a_hanging_destination_holds_up_no_other_and_gets_its_own_once_it_answers(
    house: House,
) -> None:
    awake = threading.Event()
    house.rules["/slow"] = lambda _body: 200 if awake.wait(10) else 500
    sent = {house.send("slow", conversation, 0) for conversation in range(100)}
    wait_for("the other has all", lambda: set(house.crm.bodies("/fast")) == sent, 5)
    assert not house.crm.bodies("/slow")
    awake.set()
    wait_for("it has all", lambda: set(house.crm.bodies("/slow")) == sent)
