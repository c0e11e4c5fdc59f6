"""Clients that dawdle, lie or talk nonsense: each is bounded, and none harms another."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

PATH = f"/webhook/{TOKEN}".encode()
CHUNKED = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % PATH
LIMIT_S = 1.0
"""For a head, and for a body."""
ENDED_S = LIMIT_S + 1.0 + 2.0
"""The limit, the period of looking, and what a busy machine adds."""


@pytest.fixture(scope="module")
def crm() -> Iterator[Receiver]:
    with Receiver() as crm:
        yield crm


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, crm: Receiver) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("torture")
    with Gateway(
        folder,
        FLEET.replace("URL", crm.url),
        body_bytes_max=1_000_000,
        head_timeout_s=LIMIT_S,
        body_timeout_s=LIMIT_S,
    ) as gateway:
        yield gateway
    assert "Traceback" not in gateway.log


def request(data: bytes, *more: bytes, version: bytes = b"1.1") -> bytes:
    head = [b"POST %b HTTP/%b" % (PATH, version), b"Host: x", b"Content-Length: %d" % len(data)]
    return b"\r\n".join([*head, *more, b"", data])


def said(connection: socket.socket) -> bytes:
    """All that is said until the connection ends."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


CUT_OFF = {
    "nothing at all": b"",
    "half a request line": b"POST /webh",
    "half a head": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Le" % PATH,
    "no body": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n" % PATH,
    "half a body": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{" % PATH,
    "half a chunk": b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"
    % PATH,
    "no last chunk": b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    % PATH,
    "a second request's half": request(b'{"event":"first"}') + b"POST %b HTTP/1.1\r\nHos" % PATH,
}


def test_clients_that_stop_in_the_middle_are_ended_and_others_are_served_meanwhile(
    gateway: Gateway,
) -> None:
    with ExitStack() as stack:
        connections = {}
        began_at = time.monotonic()
        for name, start in CUT_OFF.items():
            for _ in range(20):
                connection = stack.enter_context(gateway.connect())
                connection.sendall(start)
                connections[connection] = name
        for number in range(20):
            asked_at = time.monotonic()
            assert gateway.post(PATH.decode(), b'{"event":"%d"}' % number).status == 200
            assert time.monotonic() - asked_at < 1
        for connection, name in connections.items():
            answer = said(connection)
            assert time.monotonic() - began_at < ENDED_S, name
            assert answer.endswith(b"\r\n\r\n") and b"HTTP/1.1 408" in answer, (name, answer)  # noqa: PT018
            assert (b"200 OK" in answer) == (name == "a second request's half")


def test_a_request_that_drips_is_ended_after_the_same_time(gateway: Gateway) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: " % PATH
    for start in (head, head + b"x\r\nContent-Length: 900000\r\n\r\n"):
        with gateway.connect() as connection:
            began_at = time.monotonic()
            connection.settimeout(0.1)
            connection.sendall(start)
            assert b"408" in _drip(connection, began_at + ENDED_S)
            assert LIMIT_S * 0.9 < time.monotonic() - began_at < ENDED_S


def _drip(connection: socket.socket, until: float) -> bytes:
    """A byte each tenth of a second, until there is an answer."""
    while time.monotonic() < until:
        connection.sendall(b"x")
        try:
            return connection.recv(4096)
        except TimeoutError:
            continue
    return b""


def test_a_kept_connection_that_idles_is_closed_quietly(gateway: Gateway) -> None:
    with gateway.connect() as connection:
        connection.sendall(request(b'{"event":"kept"}'))
        answer = said(connection)  # uvicorn's own limit for idle connections is 5 s
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1") == 1


NONSENSE = {
    "a bad chunk size": b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    % PATH,
    "a huge chunk size": b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n"
    % (PATH, b"f" * 40),
    "two lengths": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Content-Length: 3\r\n\r\n{}" % PATH,
    "a length and chunks": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" % PATH,
    "a negative length": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}" % PATH,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "noise": bytes(range(256)) * 20,
    "a bare line feed": b"POST %b HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}" % PATH,
    "an unknown version": b"POST %b HTTP/9.9\r\nHost: x\r\n\r\n" % PATH,
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_ends_with_a_refusal_in_bounded_time_and_nothing_is_taken(
    gateway: Gateway, name: str
) -> None:
    before = accepted(gateway)
    began_at = time.monotonic()
    with gateway.connect() as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(NONSENSE[name])
        answer = said(connection)
    assert time.monotonic() - began_at < ENDED_S + 5
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert accepted(gateway) == before
    assert gateway.post(PATH.decode(), b'{"event":"after"}').status == 200


def accepted(gateway: Gateway) -> float:
    metrics = gateway.metrics()
    return sum(v for k, v in metrics.items() if k.startswith("comporta_events_accepted_total"))


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"POST %b HTTP/1.1\r\nHost: x\r\nX: " % PATH, b"x"),
        (b"POST /webhook/", b"x"),
        (b"POST %b HTTP/1.1\r\nHost: x\r\n" % PATH, b"X: y\r\n"),
    ],
    ids=["a header", "the path", "many headers"],
)
def test_a_head_without_end_was_kept_in_memory_until_its_time_was_up(
    gateway: Gateway, start: bytes, more: bytes
) -> None:
    piece, sent = more * (1_000_000 // len(more)), 0
    with gateway.connect() as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(start)
        for _ in range(100):
            connection.sendall(piece)
            sent += len(piece)
    assert sent < 20_000_000


def test_pipelined_requests_are_answered_in_order(gateway: Gateway, crm: Receiver) -> None:
    sent = [b'{"event":"pipelined","n":%d}' % number for number in range(40)]
    with gateway.connect() as connection:
        ends = b"Connection: close"
        requests = [request(data) for data in sent[:-1]] + [request(sent[-1], ends)]
        requests[20] = request(b"[]")
        connection.sendall(b"".join(requests))
        answers = said(connection)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert statuses == [b"200"] * 20 + [b"400"] + [b"200"] * 19
    wait_for("all arrive", lambda: set(sent) - {sent[20]} <= set(crm.bodies()))


def test_an_http_1_0_client_is_served(gateway: Gateway, crm: Receiver) -> None:
    data = b'{"event":"from a client of 1996"}'
    with gateway.connect() as connection:
        connection.sendall(request(data, version=b"1.0"))
        assert said(connection).split(b" ")[1] == b"200"
    wait_for("it arrives", lambda: data in crm.bodies())


def test_a_client_that_waits_for_continue_is_told_to(gateway: Gateway) -> None:
    data = b'{"event":"expected"}'
    whole = request(data, b"Expect: 100-continue", b"Connection: close")
    with gateway.connect() as connection:
        connection.sendall(whole[: -len(data)])
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(data)
        assert said(connection).split(b" ")[1] == b"200"


def test_a_websocket_is_refused(gateway: Gateway) -> None:
    for path in ("/webhook", "/health"):
        answer = gateway.get(
            path,
            Connection="Upgrade",
            Upgrade="websocket",
            **{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"},
        )
        assert answer.status == 403


def test_a_body_in_single_bytes_is_whole_in_the_end(gateway: Gateway, crm: Receiver) -> None:
    data = b'{"event":"in crumbs"}'
    with gateway.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(data, b"Connection: close"):
            connection.send(bytes([byte]))
        assert said(connection).split(b" ")[1] == b"200"
    wait_for("it arrives", lambda: data in crm.bodies())


def test_clients_that_hang_up_before_the_answer_harm_nobody(gateway: Gateway) -> None:
    def hang_up(number: int) -> None:
        with gateway.connect() as connection:
            whole = request(b'{"event":"gone","n":%d}' % number)
            connection.sendall(whole[: len(whole) - number % 7])

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(hang_up, range(300)))
    assert gateway.post(PATH.decode(), b'{"event":"still here"}').status == 200
    assert gateway.get("/readyz").status == 200


def test_a_thousand_connections_that_say_nothing_leave_room_for_others(gateway: Gateway) -> None:
    with ExitStack() as stack:
        for _ in range(900):
            stack.enter_context(gateway.connect())
        asked_at = time.monotonic()
        assert gateway.post(PATH.decode(), b'{"event":"through the crowd"}').status == 200
        assert time.monotonic() - asked_at < 2


@pytest.fixture(scope="module", autouse=True)
def memory_stays_bounded(gateway: Gateway) -> Iterator[None]:
    yield
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    rss_kb = int(status.partition("VmRSS:")[2].split()[0])
    assert rss_kb < 250_000
