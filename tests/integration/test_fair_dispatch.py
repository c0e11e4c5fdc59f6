"""Nobody waits for somebody else's flood, retries or replay: measured through a running gateway.

The destination answers after a tenth of a second and takes eight calls at a time, so it is the
narrow place. Lag is from just before the webhook is sent until the destination has answered.
"""

import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

ANSWER_S = 0.1
CONCURRENCY = 8
QUIET = [f"quiet-{number}" for number in range(4)]
QUIET_PER_S = 2.0
"""Of each of them."""
FLOOD_FACTOR = 50
SECONDS = 8.0
LAST_S = 2.0
"""Before the end: events that need not have arrived to be judged."""

FLEET = "".join(
    f"""
[[instance]]
name = "{name}"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-instance-{name}"
"""
    for name in (*QUIET, "flood")
)
DESTINATION = """
[[destination]]
name = "narrow"
url = "URL/narrow"
timeout_s = 5
retry = [RETRY]
[[route]]
name = "all"
to = ["narrow"]
"""


class Event(msgspec.Struct, rename={"type": "event"}):
    """What is sent, and what is read from what arrives."""

    type: str
    id: int
    conversation: dict[str, int]
    sender_name: str
    sent_at_s: float


class Sender:
    """Sends events of one instance at a rate, each of a new conversation, on a thread."""

    def __init__(self, gateway: Gateway, name: str, per_s: float, seconds: float) -> None:
        self._gateway, self._name = gateway, name
        self._per_s, self._seconds = per_s, seconds
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        began_at_s = time.monotonic()
        for number in range(int(self._per_s * self._seconds)):
            time.sleep(max(0.0, began_at_s + number / self._per_s - time.monotonic()))
            send(self._gateway, self._name, number + 1)


def send(gateway: Gateway, name: str, number: int) -> None:
    event = Event("message_created", number, {"id": number}, name, time.monotonic())
    data = msgspec.json.encode(event)
    assert gateway.post(f"/webhook/token-of-the-instance-{name}", data).status == 200


def run_all(senders: Iterable[Sender]) -> None:
    threads = [sender.thread for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lags_s(receiver: Receiver, names: Iterable[str], since_s: float) -> list[float]:
    """Of what arrived of these instances and was sent after `since_s`, monotonic."""
    wanted, found = set(names), []
    for one in list(receiver.arrived):
        event = msgspec.json.decode(one.body, type=Event)
        if one.ok and event.sender_name in wanted and event.sent_at_s >= since_s:
            found.append(one.done_s - event.sent_at_s)
    return found


def p99_s(found: list[float]) -> float:
    return statistics.quantiles(found, n=100, method="inclusive")[98]


def quiet_lags_s(gateway: Gateway, receiver: Receiver) -> list[float]:
    """What the quiet ones live through for a while."""
    began_at_s = time.monotonic()
    senders = [Sender(gateway, name, QUIET_PER_S, SECONDS) for name in QUIET]
    run_all(senders)
    count = len(QUIET) * int(QUIET_PER_S * SECONDS)
    wait_for("theirs arrive", lambda: len(lags_s(receiver, QUIET, began_at_s)) == count)
    return lags_s(receiver, QUIET, began_at_s)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    def answer(_path: str, _body: bytes) -> int:
        time.sleep(ANSWER_S)
        return 200

    with Receiver(answer) as receiver:
        yield receiver


def opened(folder: Path, receiver: Receiver, retry: str = "") -> Gateway:
    destination = DESTINATION.replace("URL", receiver.url).replace("RETRY", retry)
    return Gateway(folder, FLEET + destination, concurrency=CONCURRENCY)


def test_the_others_lag_stays_within_twice_its_value_while_one_sends_fifty_times_as_much(
    tmp_path: Path, receiver: Receiver
) -> None:
    with opened(tmp_path, receiver) as gateway:
        before = quiet_lags_s(gateway, receiver)
        flood = Sender(gateway, "flood", QUIET_PER_S * FLOOD_FACTOR, SECONDS + LAST_S)
        flood.thread.start()
        wait_for("a backlog", lambda: gateway.metrics()["comporta_deliveries_pending"] > 30)
        during = quiet_lags_s(gateway, receiver)
        waiting = gateway.metrics()["comporta_deliveries_pending"]
        flood.thread.join()
    assert waiting > 100, "the flood was more than the destination could take"
    assert p99_s(during) < 2 * p99_s(before), (p99_s(before), p99_s(during))


def test_a_storm_of_slow_retries_does_not_hold_up_first_attempts(
    tmp_path: Path, receiver: Receiver
) -> None:
    def answer(_path: str, body: bytes) -> int:
        if b'"sender_name":"flood"' in body:
            time.sleep(ANSWER_S * 5)
            return 500
        time.sleep(ANSWER_S)
        return 200

    with opened(tmp_path, receiver, ", ".join(["0.5"] * 50)) as gateway:
        before = quiet_lags_s(gateway, receiver)
        receiver.decide = answer
        for number in range(60):
            send(gateway, "flood", number + 1)
        wait_for(
            "all of them wait for a retry",
            lambda: len({one.body for one in receiver.arrived if not one.ok}) == 60,
            40,
        )
        tried = len(receiver.arrived)
        during = quiet_lags_s(gateway, receiver)
        assert len(receiver.arrived) - tried > len(during) + 20, "retries went on meanwhile"
    assert p99_s(during) < 2 * p99_s(before), (p99_s(before), p99_s(during))


def test_a_replay_goes_beside_live_traffic_and_comes_to_its_end(
    tmp_path: Path, receiver: Receiver
) -> None:
    with opened(tmp_path, receiver) as gateway:
        before = quiet_lags_s(gateway, receiver)
        for number in range(250):
            send(gateway, "flood", number + 1)
        wait_for("they arrive", lambda: len(lags_s(receiver, ["flood"], 0.0)) == 250, 30)
        done = gateway.command("replay", "--instance", "flood", "--yes")
        assert done["replayed"] == 250
        during = quiet_lags_s(gateway, receiver)
        assert len(lags_s(receiver, ["flood"], 0.0)) > 260, "the replay went on meanwhile"
        assert len(lags_s(receiver, ["flood"], 0.0)) < 500, "the replay was still going on"
        wait_for("all of it arrives", lambda: len(lags_s(receiver, ["flood"], 0.0)) == 500, 40)
    assert p99_s(during) < 2 * p99_s(before), (p99_s(before), p99_s(during))
