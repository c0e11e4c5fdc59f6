"""Several servers of one gateway on this machine, as an operator runs them: `comporta serve` with
Redis as log and state, PostgreSQL as ledger, one key and one fleet, and nginx in front.

It starts and ends them and tells their processes; it measures nothing.
"""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from tests.bench.servers import PARTITIONS, ROOT, TOKEN, Server, free_port, process
from tests.support.servers.balancers import TWO, Balancer
from tests.support.servers.postgresql import Postgresql
from tests.support.servers.redis import RedisProcess

from comporta.deploy.kinds import Kind

READY_S = 30.0


class Shared(NamedTuple):
    """The server programs that all servers of a gateway share."""

    redis: RedisProcess
    postgresql: Postgresql


class Site(NamedTuple):
    """A running gateway. `parts`: what its CPU time is made of."""

    url: str
    servers: tuple[Server, ...]
    parts: tuple[Server, ...]


@contextmanager
def shared(folder: Path) -> Iterator[Shared]:
    """Redis and PostgreSQL, both as durable as they can be."""
    with RedisProcess(folder / "redis") as redis, Postgresql() as postgresql:
        yield Shared(redis, postgresql)


@contextmanager
def site(count: int, fleet: str, folder: Path, programs: Shared) -> Iterator[Site]:
    """So many servers behind nginx, with stores of their own in the shared programs."""
    name = f"site{free_port()}"
    home = folder / name
    home.mkdir()
    (home / "fleet.toml").write_text(fleet)
    common = _settings(name, programs)
    _apply(home, common)
    with ExitStack() as stack:
        servers = tuple(stack.enter_context(_serve(n, home, common)) for n in range(count))
        url = stack.enter_context(balancer([server.url for server in servers], home))
        _wait_until_shared(servers)
        parts = (
            Server("comporta", "", tuple(pid for server in servers for pid in server.pids)),
            url,
            Server("redis", "", (programs.redis.pid,)),
            Server("postgresql", "", (programs.postgresql.pid,)),
        )
        yield Site(f"{url.url}/webhook/{TOKEN}", servers, parts)


@contextmanager
def balancer(urls: list[str], folder: Path) -> Iterator[Server]:
    """nginx before these servers, with the file that `comporta deploy nginx` writes."""
    plan = msgspec.structs.replace(TWO, servers=len(urls))
    named = [url.replace("http://", f"server-{n}=") for n, url in enumerate(urls)]
    with Balancer(Kind.NGINX, folder / "nginx", plan, named) as nginx:
        yield Server("nginx", f"http://127.0.0.1:{nginx.port}", (nginx.pid,))


def accepted(server: Server) -> int:
    """How many events this server has taken in so far, by its own count."""
    lines = _get(f"{server.url}/metrics").decode().splitlines()
    named = (line.split() for line in lines if line.startswith("comporta_events_accepted_total"))
    return round(sum(float(line[-1]) for line in named))


def _settings(name: str, programs: Shared) -> Mapping[str, str]:
    redis = f"{programs.redis.url}?prefix={name}"
    return {
        "COMPORTA_LOG": redis,
        "COMPORTA_STATE": redis,
        "COMPORTA_LEDGER": programs.postgresql.url(name),
        "COMPORTA_KEY": b64encode(secrets.token_bytes(32)).decode(),
    }


def _apply(home: Path, settings: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "comporta.cli", "apply", "fleet.toml", "--yes"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **settings},
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the fleet is not applied:\n{done.stderr}")


@contextmanager
def _serve(number: int, home: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    port, data = free_port(), home / f"server-{number}"
    command = [
        *(sys.executable, "-m", "comporta.cli", "serve"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    env = {**settings, "COMPORTA_DATA": str(data), "COMPORTA_LOG_LEVEL": "warning"}
    with process(command, port, home / f"server-{number}.log", **env) as pid:
        yield Server(f"server-{number}", f"http://127.0.0.1:{port}", (pid,))


def _wait_until_shared(servers: tuple[Server, ...]) -> None:
    """Wait until all are ready and every one has its share of the partitions."""
    ends_at = time.monotonic() + READY_S
    while time.monotonic() < ends_at:
        found = json.loads(_get(f"{servers[0].url}/health"))["workers"] or ()
        owned = [worker["partitions"] for worker in found]
        if len(owned) == len(servers) and sum(owned) == PARTITIONS and max(owned) - min(owned) < 2:
            return
        time.sleep(0.1)
    raise TimeoutError("the servers do not share the partitions")


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  (our own server)
            found: bytes = answer.read()
    except urllib.error.HTTPError as error:
        return error.read()
    return found
