"""The port: taken from systemd or bound, and closed so that nobody is lost at the door."""

import os
import select
import socket
import time

import pytest

from comporta.errors import ComportaError
from comporta.listening import bound, closing, inherited, let_in


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_those_in_the_queue_are_let_in_and_those_who_come_later_are_refused(host: str) -> None:
    with bound(host, 0) as port:
        port.listen(100)
        address = port.getsockname()[:2]
        early = [socket.create_connection(address) for _ in range(3)]
        steps = closing(port)
        next(steps)
        late = socket.socket(port.family)
        late.setblocking(False)
        late.connect_ex(address)
        queued = [port.accept()[0] for _ in early]
        assert list(steps) == [], "nobody is left in the queue"
        assert not select.select([], [late], [], 0)[1], "neither let in nor refused yet"
    for one in queued:
        one.sendall(b"in")
    assert [one.recv(2) for one in early] == [b"in"] * 3
    assert select.select([], [late], [], 5)[1]
    assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 111, "refused"
    for one in (*queued, *early, late):
        one.close()


def test_a_connection_that_was_made_while_the_door_was_closed_is_heard_once_it_is_let_in() -> None:
    with bound("127.0.0.1", 0) as port:
        next(closing(port))
        port.listen(1)
        # From here the client sends as one whose handshake was under way: it is near enough.
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        client.connect(port.getsockname())
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        late = port.accept()[0]
    client.sendall(b"in")
    assert not select.select([late], [], [], 0.05)[0], "not heard yet"
    let_in(late)
    assert late.recv(2) == b"in"
    late.close()
    client.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to become; as that it is tried")
def test_closing_the_door_needs_no_rights() -> None:
    """A filter in the kernel did, on some; the service runs as a user of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            with bound("127.0.0.1", 0) as port:
                port.listen(1)
                os._exit(len(list(closing(port))) - 1)
        finally:
            os._exit(99)
    assert os.waitpid(child, 0)[1] == 0


def test_a_queue_that_nobody_empties_holds_the_end_up_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("comporta.listening.QUEUE_S_MAX", 0.2)
    with bound("127.0.0.1", 0) as port:
        port.listen(10)
        with socket.create_connection(port.getsockname()):
            began = time.monotonic()
            for rest_s in closing(port):
                time.sleep(rest_s)
            assert 0.15 < time.monotonic() - began < 2


def test_a_port_that_is_taken_is_said_in_words() -> None:
    with bound("127.0.0.1", 0) as first:
        first.listen(1)
        with pytest.raises(ComportaError, match="Stop what listens there"):
            bound("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize(
    ("count", "pid"), [(None, None), ("", "1"), ("x", "7"), ("0", "7"), ("1", "8"), ("1", None)]
)
def test_what_systemd_has_not_given_to_this_process_is_not_taken(
    count: str | None, pid: str | None
) -> None:
    assert inherited(count, pid, 7) == []
