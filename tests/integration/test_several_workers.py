"""Four workers are one gateway: shared partitions, summed counters, and each can be lost."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping

import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

pytestmark = pytest.mark.alone
TAKEN_OVER_S = 5.0
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def crm() -> Iterator[Receiver]:
    with Receiver() as crm:
        yield crm


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, crm: Receiver) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("workers")
    with Gateway(folder, FLEET.replace("URL", crm.url), workers=4) as gateway:
        yield gateway


def send(gateway: Gateway) -> bytes:
    """A new event of a conversation of its own."""
    data = b'{"event":"message_created","conversation":{"id":%d}}' % next(_numbers)
    assert gateway.post(f"/webhook/{TOKEN}", data).status == 200
    return data


def counters(gateway: Gateway) -> dict[str, float]:
    """What was counted, whichever worker answers."""
    names = ("events_accepted", "events_recorded", "requests_refused", "deliveries", "ack_seconds")
    wanted = tuple(f"comporta_{name}_{end}" for name in names for end in ("total", "count"))
    return {k: v for k, v in gateway.metrics().items() if v and k.startswith(wanted)}


def scraped(gateway: Gateway, expected: Mapping[str, float]) -> bool:
    """Whether thirty scrapes in a row, by whichever workers, say the same."""
    return all(counters(gateway) == expected for _ in range(30))


def test_the_counters_of_all_workers_are_summed_whichever_answers_even_of_a_dead_one(
    gateway: Gateway, crm: Receiver
) -> None:
    sent = [send(gateway) for _ in range(300)]
    for _ in range(40):
        assert gateway.post("/webhook/nobodys-token-of-all", b"{}").status == 404
    wait_for("all arrive", lambda: set(sent) <= set(crm.bodies()))
    labels = 'chatwoot="loja-sp",event_type="message_created",source_kind="account"'
    accepted = f"comporta_events_accepted_total{{{labels}}}"
    expected = {
        accepted: 300,
        "comporta_events_recorded_total": 300,
        'comporta_requests_refused_total{reason="unknown-token",status="404"}': 40,
        'comporta_deliveries_total{destination="crm",outcome="delivered"}': 300,
        "comporta_ack_seconds_count": 300,
    }
    wait_for(f"all say {expected}, not {counters(gateway)}", lambda: scraped(gateway, expected), 8)
    os.kill(gateway.workers[0], signal.SIGKILL)
    wait_for("it is replaced", gateway.is_settled)
    assert scraped(gateway, expected)


def test_the_partitions_are_shared_evenly(gateway: Gateway) -> None:
    wait_for("they are", gateway.is_settled)
    for _ in range(10):
        health = gateway.get("/health").json
        assert sorted(worker["pid"] for worker in health["workers"]) == sorted(gateway.workers)
        assert [worker["partitions"] for worker in health["workers"]] == [4, 4, 4, 4]
        assert health["status"] == "ok"


@pytest.mark.parametrize("victim", ["a worker", "its dispatch process", "both at once"])
def test_partitions_of_who_was_killed_are_taken_over_within_five_seconds(
    gateway: Gateway, crm: Receiver, victim: str
) -> None:
    accepted: dict[bytes, float] = {}
    stop = threading.Event()

    def sender() -> None:
        while not stop.is_set():
            try:
                data = send(gateway)
            except OSError:
                continue  # the connection was the dead worker's
            accepted[data] = time.monotonic()
            stop.wait(0.005)

    threads = [threading.Thread(target=sender) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        wait_for("there is traffic", lambda: len(accepted) > 50)
        wait_for("all have dispatch", lambda: len(gateway.dispatchers) == 4)
        worker, dispatcher = next(reversed(gateway.dispatchers.items()))
        killed_at = time.monotonic()
        if victim != "a worker":
            os.kill(dispatcher, signal.SIGKILL)
        if victim != "its dispatch process":
            os.kill(worker, signal.SIGKILL)
        wait_for("it is there again", lambda: _whole_without(gateway, worker, dispatcher, victim))
        wait_for("all partitions are shared again", gateway.is_settled)
        shared_s = time.monotonic() - killed_at
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    wait_for("all arrive", lambda: accepted.keys() <= set(crm.bodies()))
    arrived = {one.body: one.at_s for one in reversed(crm.arrived)}
    lags = [arrived[data] - at_s for data, at_s in accepted.items() if at_s >= killed_at - 1]
    print(f"{victim}: waited {max(lags):.2f} s, shared again after {shared_s:.2f} s")  # noqa: T201
    assert max(lags) < TAKEN_OVER_S
    if victim != "a worker":  # then its dispatch process hands everything over at once
        assert max(lags) > 0.5, "it held nothing: this has tested nothing"


def _whole_without(gateway: Gateway, worker: int, dispatcher: int, victim: str) -> bool:
    pairs = gateway.dispatchers
    gone = dispatcher not in pairs.values() and (worker not in pairs or "dispatch" in victim)
    return gone and len(pairs) == 4


def test_the_lag_settles_to_zero(gateway: Gateway) -> None:
    send(gateway)
    wait_for("it does", lambda: gateway.get("/health").json["lag"] == 0, 5)
