"""A server leaves: it says so, closes its port without losing anybody, and ends in bounded time."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, ServedGateway, wait_for

NOWHERE = FLEET.replace("URL", "http://127.0.0.1:9")
BODY = b'{"event":"message_created","conversation":{"id":%d}}'
REQUEST = (
    b"POST /webhook/%b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)


def request(number: int) -> bytes:
    body = BODY % number
    return REQUEST % (TOKEN.encode(), len(body), body)


def one_worker_or_two() -> "pytest.MarkDecorator":
    return pytest.mark.parametrize("workers", [1, 2])


@one_worker_or_two()
def test_a_server_that_leaves_says_so_and_still_answers_and_ends_connections(
    tmp_path: Path, workers: int
) -> None:
    with ServedGateway(tmp_path, NOWHERE, workers=workers, leave_s=3) as gateway:
        kept = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        kept.request("POST", f"/webhook/{TOKEN}", BODY % 1)
        assert kept.getresponse().read() == b""
        os.kill(gateway.pid, signal.SIGTERM)
        wait_for("it says so", lambda: gateway.get("/readyz").status == 503)
        assert "Shutting down" in gateway.get("/readyz").json["reasons"][0] or workers > 1
        if workers == 1:  # of several, the other one may not have been told yet
            kept.request("POST", f"/webhook/{TOKEN}", BODY % 2)
            last = kept.getresponse()
            assert last.status == 200
            assert last.headers["connection"] == "close"
        assert gateway.post(f"/webhook/{TOKEN}", BODY % 3).status == 200
        kept.close()
        assert gateway.wait(12) in {0, -signal.SIGTERM}
        assert "Traceback" not in gateway.log


@one_worker_or_two()
def test_no_call_is_cut_off_while_the_port_is_closed(tmp_path: Path, workers: int) -> None:
    """Connections are made as fast as they can be; each is answered, or was never let in."""
    with Receiver() as crm:
        fleet = FLEET.replace("URL", crm.url)
        with ServedGateway(tmp_path, fleet, workers=workers, leave_s=0.3) as gateway:
            outcomes: list[str] = []
            over = threading.Event()

            def call(number: int) -> None:
                while not over.is_set():
                    number += 1000
                    outcomes.append(outcome(gateway.port, number))

            threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            wait_for("there is traffic", lambda: outcomes.count("answered") > 100)
            gateway.stop(15)
            over.set()
            for thread in threads:
                thread.join()
            assert set(outcomes) == {"answered", "not let in"}
            gateway.start()
            wait_for("all arrive", lambda: len(crm.bodies()) >= outcomes.count("answered"))


def outcome(port: int, number: int) -> str:
    try:
        connection = socket.create_connection(("127.0.0.1", port), 10)
    except ConnectionRefusedError:
        time.sleep(0.01)  # no busy loop
        return "not let in"
    with connection:
        try:
            connection.sendall(request(number))
            said = connection.recv(65536)
        except OSError as error:
            return f"cut off: {error!r}"
        return "answered" if said.startswith(b"HTTP/1.1 200 ") else f"cut off: {said[:40]!r}"


def test_what_comes_in_slowly_is_finished_before_the_end(tmp_path: Path) -> None:
    with (
        ServedGateway(tmp_path, NOWHERE) as gateway,
        gateway.connect() as half,
        gateway.connect() as silent,
    ):
        whole = request(1)
        half.sendall(whole[:40])  # within its head
        wait_for("it is read", gateway.is_ready)
        os.kill(gateway.pid, signal.SIGTERM)
        wait_for("the port is closed", lambda: refuses(gateway.port))
        half.sendall(whole[40:])
        assert half.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert half.recv(10) == b""
        began = time.monotonic()
        assert silent.recv(65536).startswith(b"HTTP/1.1 408 ") or time.monotonic() - began < 5
        gateway.wait(8)
        assert "Traceback" not in gateway.log


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 3).close()
    except OSError:
        return True
    return False


@one_worker_or_two()
def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(tmp_path: Path, workers: int) -> None:
    started, over = threading.Event(), threading.Event()

    def slowly(_path: str, _body: bytes) -> int:
        started.set()
        over.wait(30)
        return 200

    with Receiver(slowly) as crm:
        fleet = FLEET.replace("URL", crm.url)
        gateway = ServedGateway(tmp_path, fleet, workers=workers, leave_s=60, drain_s=60)
        with gateway:
            assert gateway.post(f"/webhook/{TOKEN}", BODY % 1).status == 200
            wait_for("it is under way", started.is_set)
            dispatchers = gateway.dispatchers
            os.kill(gateway.pid, signal.SIGTERM)
            wait_for("it says so", lambda: gateway.get("/readyz").status == 503)
            began = time.monotonic()
            gateway.stop(5)
            assert time.monotonic() - began < 4
            wait_for("dispatch ends", lambda: not any(map(lives, dispatchers.values())), 5)
            over.set()
            gateway.start()
            wait_for("it arrives", lambda: BODY % 1 in crm.bodies())


def lives(pid: int) -> bool:
    """One that nobody has buried yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_the_socket_of_systemd_is_taken_and_stays_open(tmp_path: Path) -> None:
    with ServedGateway(tmp_path, NOWHERE) as other:
        other.stop()
        with socket.create_server(("127.0.0.1", other.port)) as port:
            for _ in range(2):
                process = as_systemd_does(other, port)
                try:
                    wait_for("it answers", lambda: answers(other))
                    process.terminate()
                    process.wait(10)
                    late = socket.create_connection(("127.0.0.1", other.port), 5)
                    late.close()
                finally:
                    process.kill()
                    process.wait(5)


def answers(gateway: Gateway) -> bool:
    return gateway.post(f"/webhook/{TOKEN}", BODY % 1).status == 200


def as_systemd_does(gateway: Gateway, port: socket.socket) -> "subprocess.Popen[bytes]":
    start = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True);"
        " os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1';"
        " os.execv(sys.executable, [sys.executable, '-m', 'comporta.cli', 'serve'])"
    )
    number = port.fileno()
    with (gateway.folder / "gateway.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-c", start, str(number)],
            env=gateway.environment,
            pass_fds=[number],
            stdout=output,
            stderr=output,
        )


def test_it_ends_in_time_whatever_hangs(tmp_path: Path) -> None:
    begun, over = threading.Event(), threading.Event()

    def never(_path: str, _body: bytes) -> int:
        begun.set()
        over.wait(30)
        return 200

    with Receiver(never) as crm:
        fleet = FLEET.replace("URL", crm.url)
        with (
            ServedGateway(tmp_path, fleet, workers=2, leave_s=1, drain_s=1) as gateway,
            gateway.connect() as half,
        ):
            half.sendall(request(1)[:-5])
            assert gateway.post(f"/webhook/{TOKEN}", BODY % 2).status == 200
            wait_for("it is under way", begun.is_set)
            began = time.monotonic()
            gateway.stop(20)
            took_s = time.monotonic() - began
            over.set()
            # Leaving, connections, attempts, the kill of what is left, and a busy machine.
            assert 1 < took_s < 1 + 1 + 1 + 2 + 5
            assert "Traceback" not in gateway.log
