"""The protocol under a real uvicorn server, spoken to over real sockets."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from tests.support.gateway import wait_for
from tests.unit.serving.stage import Desk, Reply, post, replies

from comporta import serving
from comporta.serving import WebhookProtocol

LIMIT_S = 0.2


class House(Desk):
    """A server in a thread; `later` runs what is to happen on its loop."""

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = self._socket.getsockname()
        namespace = {
            "take": staticmethod(self.take),
            "sweeps": {},
            "head_timeout_s": LIMIT_S,
            "body_timeout_s": LIMIT_S,
        }
        made: Any = type("Protocol", (WebhookProtocol,), namespace)
        config = uvicorn.Config(
            self.app, http=made, log_config=None, lifespan="off", interface="asgi3", ws="none"
        )
        self.server = uvicorn.Server(config)
        self._new_loop = new_loop
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            self.loop = runner.get_loop()
            runner.run(self.server.serve([self._socket]))

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, 10)

    def answer_next(self, accepted: bool = True) -> None:
        wait_for("a request is taken", lambda: self.waiting)
        self.loop.call_soon_threadsafe(self.waiting.popleft().answer, accepted)


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def house(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(serving, "SWEEP_S", 0.05)
    with _serving(House(request.param)) as house:
        yield house


@contextmanager
def _serving(house: House) -> Iterator[House]:
    house.thread.start()
    wait_for("it serves", lambda: house.server.started)
    try:
        yield house
    finally:
        house.server.should_exit = True
        house.thread.join(10)
        assert not house.thread.is_alive()


def said(connection: socket.socket) -> list[Reply]:
    """All answers until the connection ends."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return replies(received)


def test_both_ways_share_a_kept_connection(house: House) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.address[1], timeout=10)
    for number in range(20):
        url = "/webhook/refused" if number % 3 == 0 else "/webhook/t"
        connection.request("POST", url, b"%d" % number)
        if number % 3:
            house.answer_next(accepted=number % 3 == 1)
        answer = connection.getresponse()
        body = answer.read()
        if number % 3 == 1:
            assert (answer.status, body) == (200, b"")
            assert answer.getheader("server") == "uvicorn"
            assert answer.getheader("date")
        else:
            assert (answer.status, body) == (202, f"POST 1.1 {url} {number}".encode())
    connection.close()


def test_clients_that_are_gone_before_their_answer_leave_nothing_open(house: House) -> None:
    for accepted in (True, False):
        with house.connect() as connection:
            connection.sendall(post(b"{}"))
            wait_for("it is taken", lambda: house.waiting)
        wait_for("it is missed", lambda: not house.server.server_state.connections)
        house.answer_next(accepted)
    with house.connect() as connection:  # and others are served
        connection.sendall(post(b"last", b"Connection: close"))
        house.answer_next()
        assert [one.status for one in said(connection)] == [200]
    assert house.asked == []


def test_a_server_that_is_told_to_end_gives_the_answers_it_owes(house: House) -> None:
    with house.connect() as owed, house.connect() as refused, house.connect() as idle:
        owed.sendall(post(b"1"))
        wait_for("it is taken", lambda: len(house.waiting) == 1)
        refused.sendall(post(b"2"))
        wait_for("it is taken", lambda: len(house.waiting) == 2)
        house.server.should_exit = True
        assert [one.status for one in said(idle)] == [408], "its first byte was waited for"
        house.answer_next()
        house.answer_next(accepted=False)
        (first,), (second,) = said(owed), said(refused)
    assert (first.status, first.headers[b"connection"]) == (200, b"close")
    assert (second.status, second.body) == (202, b"POST 1.1 /webhook/t 2")
    house.thread.join(10)
    assert not house.thread.is_alive()


@pytest.mark.parametrize("start", [b"", b"POST /webh", post(b"{}")[:-1]])
def test_the_sweep_runs_by_itself(house: House, start: bytes) -> None:
    with house.connect() as connection:
        connection.sendall(start)
        assert [one.status for one in said(connection)] == [408]


def test_a_burst_in_one_packet_is_answered_in_order(house: House) -> None:
    numbers = range(40)
    stream = b"".join(
        post(b"%d" % n, url=b"/webhook/t" if n % 2 else b"/webhook/refused") for n in numbers
    )
    with house.connect() as connection:
        connection.sendall(stream + post(b"40", b"Connection: close", url=b"/webhook/refused"))

        def all_asked() -> bool:
            if house.waiting:
                house.answer_next()
            return b"POST 1.1 /webhook/refused 40" in house.asked

        wait_for("the last is answered", all_asked)
        answers = said(connection)
    bodies = [one.body.rpartition(b" ")[2] for one in answers if one.status == 202]
    assert len(answers) == 41
    taken = {int(one.body) for one in house.taken}
    assert [int(body) for body in bodies] == [n for n in range(41) if n not in taken]
