"""Puts a server under load.

For saturation with wrk where it is installed, for it takes least from the cores that all share;
else with our own generator. At a fixed rate always with our own, which does not hide a stall.
"""

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.servers import ROOT

from comporta.testing.load import hammer
from comporta.testing.loop import run

PAYLOAD = ROOT / "src/comporta/testing/payloads/message_created.json"
MARKER = "@NUMBER@"
CONVERSATIONS = 64
CONNECTIONS = 64


class Load(NamedTuple):
    """What one load brought."""

    requests: int
    errors: int
    per_s: float
    p50_ms: float
    p99_ms: float


@cache
def templates() -> tuple[str, ...]:
    """One real `message_created` for each of 64 conversations; the message's id is a marker."""
    payload: dict[str, Any] = json.loads(PAYLOAD.read_text())
    made = []
    for conversation in range(CONVERSATIONS):
        payload["id"] = MARKER
        payload["conversation"]["id"] = 1000 + conversation
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        made.append(text.replace(f'"{MARKER}"', MARKER))
    return tuple(made)


def _first_number() -> int:
    """Twelve digits, and beyond all numbers that earlier loads have used."""
    return 100_000_000_000 + time.monotonic_ns() // 1000 % 800_000_000_000


def bodies() -> Iterator[bytes]:
    """Bodies that never repeat, spread over the conversations."""
    for number, template in zip(itertools.count(_first_number()), itertools.cycle(templates())):
        yield template.replace(MARKER, str(number)).encode()


def saturate(url: str, duration_s: float, keep_alive: bool, folder: Path) -> Load:
    """As many requests as the server takes from 64 connections."""
    if shutil.which("wrk"):
        return _wrk(url, duration_s, keep_alive, folder)
    return _hammer(url, duration_s, keep_alive, None)


def at_rate(url: str, duration_s: float, rate: float) -> Load:
    """So many requests a second, whatever the answers do."""
    return _hammer(url, duration_s, keep_alive=True, rate=rate)


def _hammer(url: str, duration_s: float, keep_alive: bool, rate: float | None) -> Load:
    headers = {"Content-Type": "application/json"}
    if not keep_alive:
        headers["Connection"] = "close"
    result = run(
        hammer(
            url,
            bodies(),
            CONNECTIONS,
            duration_s,
            keep_alive=keep_alive,
            rate=rate,
            headers=headers,
        )
    )
    return Load(result.requests, result.errors, result.requests_per_s, result.p50_ms, result.p99_ms)


def _wrk(url: str, duration_s: float, keep_alive: bool, folder: Path) -> Load:
    file = folder / "bodies.txt"
    if not file.exists():
        file.write_text("\n".join(templates()) + "\n")
    seconds = max(1, round(duration_s))
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"),
            *("-s", str(Path(__file__).with_name("post.lua")), url, "--", str(file)),
            *(str(_first_number()), "keep" if keep_alive else "close"),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=duration_s + 60,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    return Load(
        found["requests"] - found["errors"],
        found["errors"],
        (found["requests"] - found["errors"]) / (found["duration_us"] / 1e6),
        found["p50_us"] / 1000,
        found["p99_us"] / 1000,
    )
