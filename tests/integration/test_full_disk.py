"""A disk that is full: what cannot be stored is refused in the right words, and it passes.

It needs a file system of its own to fill, so it mounts one, which only root may do.
"""

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import API_TOKEN, BOT_TOKEN, FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Answer, Gateway, wait_for

_numbers = itertools.count(1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)],
        capture_output=True,
        timeout=10,
        check=False,
    )
    if done.returncode:
        reason = f"a full disk is NOT tested: {done.stderr.decode().strip()} (root can mount)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], timeout=10, check=True)


def send(gateway: Gateway, token: str = TOKEN) -> tuple[bytes, Answer]:
    data = b'{"event":"message_created","n":%d,"pad":"%b"}' % (next(_numbers), b"x" * 20_000)
    return data, gateway.post(f"/webhook/{token}", data)


def fill(disk: Path) -> Path:
    """Leave not a byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_full_disk_cannot_take_is_refused_and_it_recovers_by_itself(
    tmp_path: Path, small_disk: Path, workers: int
) -> None:
    with Receiver() as crm:
        gateway = Gateway(
            tmp_path, FLEET.replace("URL", crm.url), workers=workers, data=small_disk / "data"
        )
        with gateway:
            accepted = {data for data, answer in (send(gateway) for _ in range(20)) if _ok(answer)}
            assert len(accepted) == 20
            filler = fill(small_disk)
            while _ok((sent := send(gateway))[1]):  # the write-ahead log has room to reuse
                accepted.add(sent[0])
            for token, status, name in (
                (TOKEN, 503, "cannot-store"),
                (API_TOKEN, 503, "cannot-store"),
                (BOT_TOKEN, 429, "busy"),
            ):
                data, answer = send(gateway, token)
                while _ok(answer):
                    accepted.add(data)
                    data, answer = send(gateway, token)
                assert (answer.status, answer.json["type"]) == (status, f"/problems/{name}")
                assert int(answer.headers["retry-after"]) >= 1
            wait_for("readiness is red", lambda: gateway.get("/readyz").status == 503)
            assert gateway.get("/livez").status == 200
            # Each worker finds out with its own first write, and any of them may answer.
            wait_for("health is red", lambda: gateway.get("/health").status == 503)
            assert gateway.get("/metrics").status == 200
            pids = gateway.workers
            filler.unlink()
            wait_for("readiness is green", lambda: gateway.get("/readyz").status == 200, 10)
            for _ in range(10):
                data, answer = send(gateway)
                assert _ok(answer)
                accepted.add(data)
            wait_for("all that was acknowledged arrives", lambda: accepted <= set(crm.bodies()))
            assert gateway.workers == pids, "nobody had to be started again"


def _ok(answer: Answer) -> bool:
    return answer.status == 200
