"""The numbers of one server with four workers, as an operator's Prometheus sees them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.gateway import wait_for

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
        wait_for("the server answers", lambda: get(port, "/metrics") != b"")
        yield port, output
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


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


def shows(port: int, what: str, *wanted: float) -> None:
    """Wait until the numbers are these; what they were in the end is told if they are not."""
    found: list[tuple[float, ...]] = []
    try:
        wait_for(what, lambda: found.append(scrape(port)) or found[-1] == wanted)  # type: ignore[func-returns-value]
    except AssertionError as error:
        raise AssertionError(f"{error}: {found[-1]}") from None


def test_four_workers_are_one_server_to_prometheus(server: tuple[int, Path]) -> None:
    port, output = server
    # All four have started once their shares of the partitions add up.
    wait_for("all workers share their numbers", lambda: scrape(port)[2] == 16)
    pids = {int(get(port, "/webhook/secret-token")) for _ in range(40)}
    shows(port, "the counts of all workers are summed", 40, 40, 16)

    victim = pids.pop()
    os.kill(victim, signal.SIGKILL)
    # uvicorn starts another in its place.
    shows(port, "a dead worker's counts stay, its gauge is replaced", 40, 40, 16)
    wait_for("the victim is gone", lambda: not Path(f"/proc/{victim}").exists())
    get(port, "/webhook/secret-token")
    shows(port, "counting goes on", 41, 41, 16)

    assert "secret-token" not in output.read_text(), "the access log is silent"
