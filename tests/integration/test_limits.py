"""A destination's own limits and classes, before two workers that both have a backlog for it.

What the sender cares about is what the destination sees: how often, how many at once, which events.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

from comporta.ledger.port import DeliveryFilter, DeliveryRow

INSTANCES = ("loja", "clinica")
FLEET = (
    "".join(
        f"""
[[instance]]
name = "{name}"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-instance-{name}"
"""
        for name in INSTANCES
    )
    + """
[[destination]]
name = "crm"
url = "URL/crm"
OPTIONS
[[route]]
name = "all"
to = ["crm"]
"""
)
SECONDS = 10.0
PER_S = 50
TYPING_TTL_S = 10.0


class Busy:
    """Answers after a while, and knows how many it was busy with at once."""

    def __init__(self, seconds: float) -> None:
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._seconds = seconds

    def __call__(self, _path: str, body: bytes) -> int:
        names = ("all", json.loads(body)["instance"])
        with self._lock:
            for name in names:
                self._now[name] += 1
                self.most[name] = max(self.most[name], self._now[name])
        time.sleep(self._seconds)
        with self._lock:
            self._now.subtract(names)
        return 200


class Gate:
    """Holds up what it is asked about, until it is opened; then all of it is taken."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.held: list[dict[str, Any]] = []

    def open(self) -> None:
        self._open.set()

    def __call__(self, _path: str, body: bytes) -> int:
        if not self._open.is_set():
            self.held.append(json.loads(body))
            self._open.wait(60)
        return 200


class House:
    """A gateway, its destination, and what was sent through the one to the other."""

    def __init__(self, gateway: Gateway, crm: Receiver) -> None:
        self.gateway, self.crm = gateway, crm
        self._count = 0

    def send(self, conversation: int, event: str = "message_created", **more: Any) -> int:
        """The number of the event."""
        self._count += 1
        instance = more.setdefault("instance", "loja")
        about: dict[str, Any] = {"conversation": {"id": conversation}}
        if event.startswith("conversation_upd"):
            about = {"id": conversation}  # as Chatwoot sends it: the conversation itself
        data = json.dumps({"event": event, "n": self._count, **about, **more}).encode()
        assert self.gateway.post(f"/webhook/token-of-the-instance-{instance}", data).status == 200
        return self._count

    def flood(self, count: int, **more: Any) -> None:
        """So many events, each of a conversation of its own, from ten senders at a time."""

        def run(start: int) -> None:
            for number in range(start, count, 10):
                self.send(number + 1, **more)

        threads = [threading.Thread(target=run, args=(start,)) for start in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def arrived(self, since: int = 0) -> list[int]:
        """Numbers of the accepted events, in order, without the first ones."""
        return [json.loads(body)["n"] for body in self.crm.bodies()][since:]

    def deliveries(self) -> list[DeliveryRow]:
        """Oldest first."""
        which = DeliveryFilter(limit=1000)
        return self.gateway.ask(lambda stores: stores.ledger.deliveries(which))[::-1]

    def pending(self) -> int:
        return int(self.gateway.metrics()["comporta_deliveries_pending"])


@contextmanager
def opened(folder: Path, options: str) -> Iterator[House]:
    with Receiver() as crm:
        fleet = FLEET.replace("URL", crm.url).replace("OPTIONS", options)
        with Gateway(folder, fleet, workers=2) as gateway:
            yield House(gateway, crm)
            assert gateway.stop() == 0
        assert "Traceback" not in gateway.log


@pytest.mark.alone
def test_a_rate_is_kept_by_all_workers_together_though_both_have_a_backlog(tmp_path: Path) -> None:
    with opened(tmp_path, f'rate = "{PER_S}/s"\nburst = 5') as house:
        house.flood(int(PER_S * SECONDS * 1.6))
        wait_for("a first one", house.arrived)
        begins_at = time.monotonic()
        wait_for("ten seconds", lambda: time.monotonic() - begins_at > SECONDS + 0.1)
        seen = [one.at_s for one in house.crm.arrived]
        workers = house.gateway.get("/health").json["workers"]
        assert house.pending() > 0, "there was a backlog all the time"
    counts = Counter(int(at_s - begins_at) for at_s in seen if 0 <= at_s - begins_at < SECONDS)
    total = sum(counts.values())
    assert len(workers) == 2
    assert PER_S * SECONDS * 0.95 <= total <= PER_S * SECONDS * 1.05, (total, counts)


def test_a_concurrency_is_used_and_never_exceeded_over_all_workers(tmp_path: Path) -> None:
    with opened(tmp_path, "concurrency = 3") as house:
        house.crm.decide = busy = Busy(0.1)
        house.flood(60, instance="loja")
        house.flood(60, instance="clinica")
        wait_for("all arrive", lambda: len(house.arrived()) == 120, 40)
    assert busy.most["all"] == 3


def test_no_instance_has_more_under_way_than_its_part_over_all_workers(tmp_path: Path) -> None:
    with opened(tmp_path, "concurrency = 8\ninstance_concurrency = 2") as house:
        house.crm.decide = busy = Busy(0.1)
        house.flood(60, instance="loja")
        house.flood(60, instance="clinica")
        wait_for("all arrive", lambda: len(house.arrived()) == 120, 40)
    assert busy.most["loja"] == busy.most["clinica"] == 2
    assert busy.most["all"] > 2, "one does not wait for the other"


def test_typing_that_waited_too_long_is_dropped_never_retried_and_leaves_no_row(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, "timeout_s = 60\nretry = [1]") as house:
        gate = house.crm.decide = Gate()
        house.send(1, "conversation_typing_on")
        wait_for("it is under way", lambda: gate.held)
        late = [house.send(1, "conversation_typing_on") for _ in range(5)]
        message = house.send(1)
        wait_for("the message does not wait for it", lambda: len(gate.held) == 2)
        sent_at = time.monotonic()
        wait_for(
            "they are worth nothing any more",
            lambda: time.monotonic() - sent_at > TYPING_TTL_S + 0.5,
        )
        gate.open()
        wait_for("what was under way arrives", lambda: len(house.arrived()) == 2)
        fresh = house.send(1, "conversation_typing_off")
        wait_for("one that is fresh goes", lambda: fresh in house.arrived())
        assert not set(late) & set(house.arrived())
        house.crm.decide = lambda _path, _body: 503
        refused = house.send(2, "conversation_typing_on")
        after = house.send(3)
        wait_for("it is retried", lambda: len(tries_of(house, after)) == 2, 10)
        assert len(tries_of(house, refused)) == 1, "and typing is not"
        rows = wait_for("the messages' rows", house.deliveries)
        assert [row.event_type for row in rows] == ["message_created"] * 2
        events = house.gateway.command("events")
        assert {event["event_type"] for event in events} == {"message_created"}
        assert message in house.arrived()


def tries_of(house: House, number: int) -> list[int]:
    return [one.status for one in house.crm.arrived if json.loads(one.body)["n"] == number]


def test_of_updates_that_wait_only_the_newest_is_sent_and_messages_between_them_all_are(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, "timeout_s = 60") as house:
        gate = house.crm.decide = Gate()
        first = house.send(7, "conversation_updated")
        wait_for("it is under way", lambda: gate.held)
        messages, updates = [], []
        for _ in range(19):
            messages.append(house.send(7))
            updates.append(house.send(7, "conversation_updated"))
        wait_for("all are recorded", lambda: len(house.deliveries()) == 39)
        gate.open()
        wait_for("the newest arrives", lambda: updates[-1] in house.arrived())
        assert house.arrived() == [first, *messages, updates[-1]]
        wait_for("all is settled", lambda: house.pending() == 0)
        states = Counter((row.event_type, str(row.state)) for row in house.deliveries())
        assert states["message_created", "delivered"] == 19
        assert states["conversation_updated", "discarded"] in {18, 19}


def test_a_head_that_fails_while_others_pass_is_dead_after_its_lanes_patience(
    tmp_path: Path,
) -> None:
    park_s = 4.0
    with opened(tmp_path, f"park_s = {park_s}\nretry = [{', '.join(['1'] * 40)}]") as house:
        house.crm.decide = lambda _path, body: 500 if b'"stuck": true' in body else 200
        stuck = house.send(1, stuck=True)
        behind = [house.send(1) for _ in range(3)]
        began_at, others = time.monotonic(), 0
        while not set(behind) <= set(house.arrived()):
            assert time.monotonic() < began_at + 5 * park_s, "its lane does not go on"
            house.send(100 + others)
            others += 1
            time.sleep(0.1)
        took_s = time.monotonic() - began_at
        wait_for("the others arrive", lambda: len(house.arrived()) == others + 3)
        wait_for("all is settled", lambda: house.pending() == 0)
        dead = [row for row in house.deliveries() if row.state == "dead"]
        tried = tries_of(house, stuck)
    assert took_s > park_s * 0.9
    assert len(dead) == 1
    assert dead[0].reason == "held up its lane too long: HTTP 500"
    assert len(tried) > 2
    assert [n for n in house.arrived() if n in behind] == behind


def test_an_event_that_the_expression_fails_on_is_dead_with_the_reason_and_its_lane_goes_on(
    tmp_path: Path,
) -> None:
    shape = 'format = "jmespath"\ntransform = "{n: n, letters: length(content)}"'
    with opened(tmp_path, f"{shape}\nretry = [{', '.join(['1'] * 40)}]") as house:
        poison = house.send(1, content=7)
        behind = [house.send(1, content="oi") for _ in range(2)]
        began_at, others = time.monotonic(), 0
        while not set(behind) <= set(house.arrived()):
            assert time.monotonic() < began_at + 15, "its lane does not go on"
            house.send(100 + others, content="olá")
            others += 1
            time.sleep(0.1)
        wait_for("the others arrive", lambda: len(house.arrived()) == others + 2)
        wait_for("all is settled", lambda: house.pending() == 0)
        dead = [row for row in house.deliveries() if row.state == "dead"]
        tries = house.gateway.ask(lambda stores: stores.ledger.attempts(dead[0].id))
    assert len(dead) == 1
    assert dead[0].reason.startswith("the transform failed on this event")
    assert 1 < len(tries) <= 4, "as soon as another event had passed since"
    assert tries_of(house, poison) == []
