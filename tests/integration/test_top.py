"""`comporta top` beside a running gateway: in a pipe, as JSON, and at a terminal until q."""

import os
import pty
import select
import subprocess
import sys
import time

import pytest
from tests.integration.conftest import TOKEN
from tests.support.commands import run_command
from tests.support.gateway import ROOT, Gateway, free_port, wait_for

from comporta.cli.keys import KEYS


@pytest.fixture
def busy(gateway: Gateway) -> Gateway:
    """With an event that has come through."""
    body = b'{"event":"message_created","conversation":{"id":77}}'
    assert gateway.post(f"/webhook/{TOKEN}", body).status == 200
    name = 'comporta_deliveries_total{destination="crm",outcome="delivered"}'
    wait_for("it is delivered", lambda: gateway.metrics().get(name))
    return gateway


def test_programs_get_one_object_with_the_documented_keys(busy: Gateway) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    found = busy.command("top", "--once", "--url", busy.url, "--url", away)
    assert set(found) == set(KEYS["top"])
    assert [one["url"] for one in found["gateways"]] == [busy.url, away]
    assert [one["error"] is None for one in found["gateways"]] == [True, False]
    assert found["totals"]["workers"] == 1
    crm = next(one for one in found["destinations"] if one["destination"] == "crm")
    assert crm["breaker"] == "closed"
    shop = next(one for one in found["instances"] if one["instance"] == "loja-sp")
    assert 0 <= shop["last_event_age_s"] < 600


def test_in_a_pipe_it_is_printed_once_in_the_readers_language(busy: Gateway) -> None:
    said = run_command("top", "--url", busy.url, "--lang", "pt-BR", env=busy.environment)
    assert said.code == 0, said.err
    assert "DISJUNTOR" in said.out
    assert "loja-sp" in said.out
    assert "fechado" in said.out


def test_a_gateway_that_cannot_be_asked_is_said_with_what_to_do(busy: Gateway) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    said = run_command("top", "--once", "--url", away, env=busy.environment)
    assert (said.code, said.out) == (1, "")
    assert "Is it running?" in said.err
    said = run_command("top", "--once", "--url", f"{busy.url}/health", env=busy.environment)
    assert (said.code, "Is the URL right?" in said.err) == (1, True)


def test_at_a_terminal_it_is_drawn_until_q_and_the_terminal_is_as_before(busy: Gateway) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "comporta.cli", "top", "--url", busy.url],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=busy.environment | {"TERM": "xterm", "COLUMNS": "140", "LINES": "40"},
    )
    os.close(theirs)
    try:
        seen = read(ours, b"BREAKER")
        os.write(ours, b"q")
        seen += read(ours, b"\x1b[?1049l")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"\x1b[?1049h" in seen
    assert b"crm" in seen


def read(terminal: int, until: bytes) -> bytes:
    """What comes out of a terminal, until this does."""
    seen, ends_at = b"", time.monotonic() + 60
    while until not in seen:
        assert time.monotonic() < ends_at, seen[-2000:]
        if select.select([terminal], [], [], 1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # its other end is closed
                assert until in seen, seen[-2000:]
    return seen
