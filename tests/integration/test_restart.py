"""The gateway ends, politely or not, and goes on where it was."""

import json
import threading
from collections import defaultdict
from pathlib import Path

import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for


def send(gateway: Gateway, conversation: int, number: int) -> bytes:
    data = b'{"event":"message_created","conversation":{"id":%d},"n":%d}' % (conversation, number)
    assert gateway.post(f"/webhook/{TOKEN}", data).status == 200
    return data


def by_conversation(bodies: list[bytes]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = defaultdict(list)
    for data in bodies:
        found[json.loads(data)["conversation"]["id"]].append(data)
    return dict(found)


@pytest.mark.parametrize("polite", [True, False], ids=["after SIGTERM", "after SIGKILL"])
def test_what_was_open_is_delivered_after_a_restart_in_order(tmp_path: Path, polite: bool) -> None:
    with Receiver(lambda _path, _body: 503) as crm:
        fleet = FLEET.replace("URL", crm.url).replace("retry = []", "retry = [2, 2, 2, 2, 2, 2]")
        gateway = Gateway(tmp_path, fleet, workers=2)
        with gateway:
            sent = [send(gateway, 1 + number % 6, number) for number in range(60)]
            wait_for("some were tried", lambda: len(crm.arrived) >= 6)
            if polite:
                assert gateway.stop(8) == 0
            else:
                gateway.kill()
            crm.decide = lambda _path, _body: 200
            gateway.start()
            wait_for("all arrive", lambda: len(set(crm.bodies())) == 60)
            assert by_conversation(crm.bodies()) == by_conversation(sent)
        assert "Traceback" not in gateway.log


def test_a_polite_stop_under_load_loses_nothing_and_brings_nothing_twice(tmp_path: Path) -> None:
    with Receiver() as crm, Gateway(tmp_path, FLEET.replace("URL", crm.url), workers=2) as gateway:
        accepted: list[bytes] = []
        stop = threading.Event()

        def sender(conversation: int) -> None:
            number = 0
            while not stop.is_set():
                try:
                    accepted.append(send(gateway, conversation, number))
                except OSError:
                    stop.wait(0.02)  # it is down: no busy loop
                number += 1

        threads = [threading.Thread(target=sender, args=(c,)) for c in range(1, 5)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            before = len(accepted)
            wait_for("there is traffic", lambda before=before: len(accepted) > before + 100)  # type: ignore[misc]
            assert gateway.stop(8) == 0
            gateway.start()
        stop.set()
        for thread in threads:
            thread.join()
        wait_for("all arrive", lambda: set(accepted) <= set(crm.bodies()))
        bodies = crm.bodies()
        assert len(bodies) == len(set(bodies))
        arrived = by_conversation(bodies)
        for conversation, sent in by_conversation(accepted).items():
            numbers = [json.loads(data)["n"] for data in arrived[conversation]]
            assert numbers == sorted(numbers)
            assert set(sent) <= set(arrived[conversation])
    assert "Traceback" not in gateway.log
