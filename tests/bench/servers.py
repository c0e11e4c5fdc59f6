"""Starts and stops the servers under test, each a process group, and reads their CPU time."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
START_S = 30.0
STOP_S = 15.0
PARTITIONS = 16
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
TOKEN = "bench-token-0123456789abcdef0123456789"

FLEET = f"""
[[instance]]
name = "bench-0"
[[instance.source]]
name = "conta"
kind = "account"
token = "{TOKEN}"
"""


class Server(NamedTuple):
    """A running server. `pids`: the heads of its process trees."""

    name: str
    url: str
    pids: tuple[int, ...]


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _tree(heads: tuple[int, ...]) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = set(heads)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_s(server: Server) -> float:
    """CPU seconds that the server has used so far, in user and system mode, all its processes."""
    ticks = sum(int(s[11]) + int(s[12]) for pid in _tree(server.pids) if (s := _stat(pid)))
    return ticks / TICKS_PER_S


def memory_mb(server: Server) -> float:
    """Resident memory of all its processes; pages that they share are counted for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(s[21]) for pid in _tree(server.pids) if (s := _stat(pid))) * page / 1e6


def dispatch_of(server: Server) -> Server:
    """The gateway's dispatch processes, so that they can be measured by themselves."""
    found = tuple(
        pid for pid in sorted(_tree(server.pids)) if b"comporta.dispatching" in _line(pid)
    )
    return server._replace(name=f"{server.name}: dispatch", pids=found)


def _line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def settle(server: Server, within_s: float = 30.0) -> None:
    """Wait until the server has nothing left to do, so that it does not disturb the next one."""
    deadline = time.monotonic() + within_s
    last = cpu_s(server)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = cpu_s(server)
        if now - last < 0.04:
            return
        last = now


@contextmanager
def process(command: list[str], port: int, log: Path, **env: str) -> Iterator[int]:
    """A process that listens on `port`, until the end of the block; its pid."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
    with log.open("wb") as output:
        running = subprocess.Popen(
            command,
            cwd=ROOT,
            env=inherited | {"PYTHONPATH": str(ROOT / "src")} | env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(port, running, log)
        yield running.pid
    finally:
        _stop(running)


def _wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and running.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{' '.join(running.args)} does not start:\n{log.read_text()[-2000:]}")  # type: ignore[arg-type]


def _stop(running: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if running.poll() is None:
            os.killpg(running.pid, number)
            try:
                running.wait(STOP_S)
            except subprocess.TimeoutExpired:
                continue


def _uvicorn(app: str, port: int, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)),
        *("--log-level", "warning", "--no-access-log", *more),
    ]


@contextmanager
def uvicorn(name: str, app: str, folder: Path, *more: str, **env: str) -> Iterator[Server]:
    """An application under uvicorn with one worker, unless `more` says otherwise."""
    port = free_port()
    with process(_uvicorn(app, port, *more), port, folder / f"{port}.log", **env) as pid:
        yield Server(name, f"http://127.0.0.1:{port}/webhook/{TOKEN}", (pid,))


def data_folder(folder: Path, fleet: str) -> Path:
    """A new data folder of a gateway, with a fleet file that is not applied yet."""
    data = folder / f"data-{free_port()}"
    data.mkdir()
    (data / "fleet.toml").write_text(fleet)
    return data


@contextmanager
def comporta(  # noqa: PLR0913  (what benches vary)
    name: str,
    folder: Path,
    fleet: str = FLEET,
    workers: int = 1,
    *,
    data: Path | None = None,
    ready: bool = True,
    env: Mapping[str, str] | None = None,
    app: str = "comporta.asgi:app",
) -> Iterator[Server]:
    """The gateway on the embedded engine; with an empty data folder, if none is given.

    `ready`: dispatch has its partitions when the block begins; else the gateway only listens.
    """
    data = data or data_folder(folder, fleet)
    settings = {"COMPORTA_DATA": str(data), "COMPORTA_FLEET": str(data / "fleet.toml")}
    settings |= env or {}
    more = ("--workers", str(workers)) if workers > 1 else ()
    with uvicorn(name, app, folder, *more, **settings) as server:
        if ready:
            _wait_for_dispatch(server, workers)
        yield server


def health(server: Server) -> dict[str, Any]:
    """The answer of `/health`, whatever its status."""
    url = server.url.partition("/webhook")[0] + "/health"
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  (our own server)
        found: dict[str, Any] = json.load(answer)
    return found


def _wait_for_dispatch(server: Server, workers: int, within_s: float = 20.0) -> None:
    """Wait until the workers share the partitions: what is measured is not the start."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        owned = [worker["partitions"] for worker in health(server)["workers"] or ()]
        if len(owned) == workers and min(owned) > 0 and sum(owned) == PARTITIONS:
            return
        time.sleep(0.1)
    raise TimeoutError("the workers do not share the partitions")


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, int]]:
    """A Redis of our own, with its append-only file flushed once a second: its URL and pid."""
    port = free_port()
    where = folder / f"redis-{port}"
    where.mkdir()
    command = [
        *("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(where)),
        *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
    ]
    with process(command, port, folder / f"{port}.log") as pid:
        yield f"redis://127.0.0.1:{port}/0", pid


@contextmanager
def contestants(folder: Path) -> Iterator[Mapping[str, Server]]:
    """All servers of the ingest bench, running side by side, one loaded at a time."""
    with ExitStack() as stack:
        enter = stack.enter_context
        servers = [
            enter(uvicorn("empty", "tests.bench.apps:empty", folder)),
            enter(comporta("comporta", folder)),
            enter(
                uvicorn(
                    "sqlite",
                    "tests.bench.apps:fastapi_sqlite",
                    folder,
                    "--factory",
                    BENCH_STORE=str(folder),
                )
            ),
        ]
        if shutil.which("redis-server"):
            url, pid = enter(redis_server(folder))
            app = "tests.bench.apps:fastapi_redis"
            server = enter(uvicorn("redis", app, folder, "--factory", BENCH_STORE=url))
            servers.append(server._replace(pids=(*server.pids, pid)))
        yield {server.name: server for server in servers}
