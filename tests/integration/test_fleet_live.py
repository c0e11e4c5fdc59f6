"""A fleet changes under four busy workers: within a second everywhere, and nobody is refused."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.integration.conftest import TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

pytestmark = pytest.mark.alone
LIVE_S = 1.0
SLACK_S = 0.5
"""What a machine that also runs the load may add to a second."""
_numbers = itertools.count(1)

SOURCE = """
[[instance]]
name = "{name}"
[[instance.source]]
name = "conta"
kind = "account"
token = "{token}"
"""
DESTINATION = """
[[destination]]
name = "{name}"
url = "{url}/{name}"
[[route]]
name = "to-{name}"
instances = ["*"]
to = ["{name}"]
"""
LOJA = SOURCE.format(name="loja", token=TOKEN)


def send(gateway: Gateway, token: str = TOKEN) -> tuple[bytes, int]:
    """A new event of a conversation of its own, so that every partition gets some."""
    number = next(_numbers)
    data = b'{"event":"message_created","conversation":{"id":%d}}' % number
    return data, gateway.post(f"/webhook/{token}", data).status


class Load:
    """Events in three threads, one after the other, until told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        self.statuses: list[int] = []
        self.accepted: list[bytes] = []
        self.errors: list[OSError] = []
        self._gateway, self._stop = gateway, threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(3)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                data, status = send(self._gateway)
            except OSError as error:
                self.errors.append(error)
                continue
            self.statuses.append(status)
            if status == 200:
                self.accepted.append(data)

    def stop(self) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join()


@contextmanager
def load(gateway: Gateway) -> Iterator[Load]:
    running = Load(gateway)
    for thread in running.threads:
        thread.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def crm() -> Iterator[Receiver]:
    with Receiver() as crm:
        yield crm


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, crm: Receiver) -> Iterator[Gateway]:
    fleet = LOJA + DESTINATION.format(name="crm", url=crm.url)
    with Gateway(tmp_path_factory.mktemp("live"), fleet, workers=4) as gateway:
        yield gateway


def test_a_change_is_live_in_all_workers_within_a_second_and_refuses_nobody(
    gateway: Gateway, crm: Receiver
) -> None:
    first = DESTINATION.format(name="crm", url=crm.url)
    second = DESTINATION.format(name="n8n", url=crm.url)
    rio = SOURCE.format(name="rio", token="token-of-the-shop-in-rio")
    with load(gateway) as running:
        assert send(gateway, "token-of-the-shop-in-rio")[1] == 404
        gateway.apply(LOJA + rio + first + second)
        time.sleep(LIVE_S + SLACK_S)
        assert {send(gateway, "token-of-the-shop-in-rio")[1] for _ in range(60)} == {200}
        added = [send(gateway)[0] for _ in range(60)]
        wait_for("the new destination has all", lambda: set(added) <= set(crm.bodies("/n8n")))
        gateway.apply(LOJA + first)
        time.sleep(LIVE_S + SLACK_S)
        assert {send(gateway, "token-of-the-shop-in-rio")[1] for _ in range(60)} == {404}
        removed = [send(gateway)[0] for _ in range(60)]
        wait_for("the old destination has all", lambda: set(removed) <= set(crm.bodies("/crm")))
    assert not set(removed) & set(crm.bodies("/n8n"))
    assert not running.errors
    assert set(running.statuses) == {200}
    assert len(running.statuses) > 200
    wait_for("all arrive", lambda: set(running.accepted) <= set(crm.bodies("/crm")))
    bodies = crm.bodies("/crm")
    assert len(bodies) == len(set(bodies)), "nothing came twice"


def test_a_fleet_with_a_mistake_is_refused_and_changes_nothing(
    gateway: Gateway, crm: Receiver
) -> None:
    fleet = LOJA + DESTINATION.format(name="crm", url=crm.url)
    gateway.apply(fleet)
    with pytest.raises(AssertionError, match="Did you mean"):
        gateway.apply(fleet.replace('to = ["crm"]', 'to = ["crn"]'))
    data, status = send(gateway)
    assert status == 200
    wait_for("it arrives", lambda: data in crm.bodies("/crm"))


def test_a_rotated_token_stops_working_in_all_workers(gateway: Gateway, crm: Receiver) -> None:
    first = DESTINATION.format(name="crm", url=crm.url)
    old, new = TOKEN, "token-of-the-shop-anew"
    both = LOJA.replace(f'token = "{old}"', f'tokens = ["{new}", "{old}"]')
    for fleet, statuses in (
        (both, {old: 200, new: 200}),
        (LOJA.replace(old, new), {old: 404, new: 200}),
        (LOJA, {old: 200, new: 404}),
    ):
        gateway.apply(fleet + first)
        time.sleep(LIVE_S + SLACK_S)
        for token, status in statuses.items():
            assert {send(gateway, token)[1] for _ in range(40)} == {status}
