"""Nobody waits for somebody else's flood, retries or replay: measured through a running gateway.

The destination answers after a tenth of a second and takes eight calls at a time, so it is the
narrow place. Lag is from just before the webhook is sent until the destination has answered.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

pytestmark = pytest.mark.alone
ANSWER_S = 0.1
CONCURRENCY = 8
QUIET = [f"quiet-{number}" for number in range(4)]
QUIET_PER_S = 2.0
"""Of each of them."""
FLOOD_FACTOR = 50
SECONDS = 6.0
LAST_S = 2.0
"""Before the end: events that need not have arrived to be judged."""

CASES = {"calm": "", "flood": "", "storm": ", ".join(["0.5"] * 50), "replay": ""}
"""Each has instances and a destination of its own → the destination's schedule."""
INSTANCE = """
[[instance]]
name = "{case}-{name}"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-instance-{case}-{name}"
"""
DESTINATION = """
[[destination]]
name = "{case}"
url = "{url}/{case}"
timeout_s = 5
retry = [{retry}]
[[route]]
name = "{case}"
instances = ["{case}-*"]
to = ["{case}"]
"""


def fleet(url: str) -> str:
    names = (*QUIET, "calm", "loud")
    return "".join(
        "".join(INSTANCE.format(case=case, name=name) for name in names)
        + DESTINATION.format(case=case, url=url, retry=retry)
        for case, retry in CASES.items()
    )


class Event(msgspec.Struct, rename={"type": "event"}):
    """What is sent, and what is read from what arrives."""

    type: str
    id: int
    conversation: dict[str, int]
    sender_name: str
    sent_at_s: float


class House:
    """A gateway, and a receiver that is slow, and may be told worse case by case."""

    def __init__(self, gateway: Gateway, receiver: Receiver) -> None:
        self.gateway, self.receiver = gateway, receiver
        self.rules: dict[str, Callable[[bytes], int]] = {}
        receiver.decide = self._decide

    def _decide(self, path: str, body: bytes) -> int:
        time.sleep(ANSWER_S)
        rule = self.rules.get(path)
        return rule(body) if rule else 200

    def send(self, name: str, number: int) -> None:
        event = Event("message_created", number, {"id": number}, name, time.monotonic())
        data = msgspec.json.encode(event)
        assert self.gateway.post(f"/webhook/token-of-the-instance-{name}", data).status == 200

    def sender(self, name: str, per_s: float, seconds: float) -> threading.Thread:
        """A thread that sends events of an instance at a rate, each of a new conversation."""

        def run() -> None:
            began_at_s = time.monotonic()
            for number in range(int(per_s * seconds)):
                time.sleep(max(0.0, began_at_s + number / per_s - time.monotonic()))
                self.send(name, number + 1)

        return threading.Thread(target=run)

    def lags_s(self, names: Iterable[str], since_s: float = 0.0) -> list[float]:
        """Of what arrived of these instances and was sent after `since_s`, monotonic."""
        wanted, found = set(names), []
        for one in list(self.receiver.arrived):
            event = msgspec.json.decode(one.body, type=Event)
            if one.ok and event.sender_name in wanted and event.sent_at_s >= since_s:
                found.append(one.done_s - event.sent_at_s)
        return found

    def quiet_p99_s(self, case: str) -> float:
        """What the quiet ones live through for a while."""
        names = [f"{case}-{name}" for name in QUIET]
        began_at_s = time.monotonic()
        threads = [self.sender(name, QUIET_PER_S, SECONDS) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        count = len(QUIET) * int(QUIET_PER_S * SECONDS)
        wait_for("theirs arrive", lambda: len(self.lags_s(names, began_at_s)) == count)
        return statistics.quantiles(self.lags_s(names, began_at_s), n=100, method="inclusive")[98]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("fair")
    with (
        Receiver() as receiver,
        Gateway(folder, fleet(receiver.url), concurrency=CONCURRENCY) as gateway,
    ):
        yield House(gateway, receiver)


@pytest.fixture(scope="module")
def calm_p99_s(house: House) -> float:
    """Where nobody sends but them."""
    return house.quiet_p99_s("calm")


def test_the_others_lag_stays_within_twice_its_value_while_one_sends_fifty_times_as_much(
    house: House, calm_p99_s: float
) -> None:
    flood = house.sender("flood-loud", QUIET_PER_S * FLOOD_FACTOR, SECONDS + LAST_S)
    flood.start()
    wait_for("a backlog", lambda: house.gateway.metrics()["comporta_deliveries_pending"] > 30)
    during_s = house.quiet_p99_s("flood")
    waiting = house.gateway.metrics()["comporta_deliveries_pending"]
    flood.join()
    assert waiting > 100, "the flood was more than the destination could take"
    assert during_s < 2 * calm_p99_s


def test_a_storm_of_slow_retries_does_not_hold_up_first_attempts(
    house: House, calm_p99_s: float
) -> None:
    def refuse(body: bytes) -> int:
        if b'"sender_name":"storm-loud"' in body:
            time.sleep(ANSWER_S * 4)
            return 500
        return 200

    def refused() -> list[bytes]:
        return [one.body for one in house.receiver.arrived if not one.ok]

    for number in range(100):  # which pass: all that fails would be taken for an outage
        house.send("storm-calm", number + 1)
    wait_for("they arrive", lambda: len(house.lags_s(["storm-calm"])) == 100)
    house.rules["/storm"] = refuse
    for number in range(60):
        house.send("storm-loud", number + 1)
    wait_for("all of them wait for a retry", lambda: len(set(refused())) == 60)
    tried = len(refused())
    during_s = house.quiet_p99_s("storm")
    assert len(refused()) - tried > 20, "retries went on meanwhile"
    del house.rules["/storm"]
    assert during_s < 2 * calm_p99_s


def test_a_replay_goes_beside_live_traffic_and_comes_to_its_end(
    house: House, calm_p99_s: float
) -> None:
    def arrived() -> int:
        return len(house.lags_s(["replay-loud"]))

    for number in range(250):
        house.send("replay-loud", number + 1)
    wait_for("they arrive", lambda: arrived() == 250)
    done = house.gateway.command("replay", "--instance", "replay-loud", "--yes")
    assert done["replayed"] == 250
    during_s = house.quiet_p99_s("replay")
    assert arrived() > 260, "the replay went on meanwhile"
    assert arrived() < 500, "the replay was still going on"
    wait_for("all of it arrives", lambda: arrived() == 500)
    assert during_s < 2 * calm_p99_s
