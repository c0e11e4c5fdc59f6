"""The numbers of one server with four workers, as an operator's Prometheus sees them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

SRC = Path(__file__).parents[3] / "src"
APP = """
import asyncio, os
from pathlib import Path
from comporta.telemetry import logs
from comporta.telemetry.metrics import Metrics, prepare
from comporta.telemetry.tally import Tally

logs.configure("info", json=True)
tally = Tally()
tally.partitions_owned.set(4)
metrics = Metrics(tally, prepare(Path("metrics"), os.getppid()))


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(metrics.run())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            running.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/metrics":
        body, _media_type = await metrics.render()
    else:
        tally.events_accepted.add(("loja", "account", "message_created"))
        tally.ack_seconds.observe(0.004)
        body = str(os.getpid()).encode()
    headers = [(b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
NUMBERS = (
    "comporta_events_accepted_total",
    "comporta_ack_seconds_count",
    "comporta_partitions_owned",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "counting.py").write_text(APP)
    output = tmp_path / "output"
    with output.open("wb") as file:
        running = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "uvicorn",
                "counting:app",
                "--workers",
                "4",
                "--port",
                str(port),
            ],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(SRC)},
            stderr=file,
            stdout=file,
            start_new_session=True,
        )
    try:
        until(lambda: get(port, "/metrics") != b"", "the server answers")
        yield port, output
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, f"not within 60 s: {what}"
        time.sleep(0.02)


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except OSError:
        return b""
    finally:
        connection.close()


def scrape(port: int) -> tuple[float, ...]:
    values = dict.fromkeys(NUMBERS, 0.0)
    for family in text_string_to_metric_families(get(port, "/metrics").decode()):
        values |= {sample.name: sample.value for sample in family.samples if sample.name in values}
    return tuple(values.values())


def test_four_workers_are_one_server_to_prometheus(server: tuple[int, Path]) -> None:
    port, output = server
    # All four have started once their shares of the partitions add up.
    until(lambda: scrape(port)[2] == 16, "all workers share their numbers")
    pids = {int(get(port, "/webhook/secret-token")) for _ in range(40)}
    until(lambda: scrape(port) == (40, 40, 16), "the counts of all workers are summed")

    victim = pids.pop()
    os.kill(victim, signal.SIGKILL)
    # uvicorn starts another in its place.
    until(
        lambda: scrape(port) == (40, 40, 16), "a dead worker's counts stay, its gauge is replaced"
    )
    until(lambda: not Path(f"/proc/{victim}").exists(), "the victim is gone")
    get(port, "/webhook/secret-token")
    until(lambda: scrape(port) == (41, 41, 16), "counting goes on")

    assert "secret-token" not in output.read_text(), "the access log is silent"
