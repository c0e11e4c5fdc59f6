"""A gateway as operators run it: the literal uvicorn command, in processes of its own, for tests.

It starts it, waits until it is ready, speaks HTTP with it, asks its stores, and ends it by pid. It
knows nothing about what a test wants to see.
"""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from tests.support.commands import run_command

from comporta.settings import Settings
from comporta.stores import Stores, open_stores

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0
"""For what has to come: generous, since it costs nothing where it comes soon."""
LIVE_S = 2.0
"""As long as a change of the fleet may take to be live in all workers, on a busy machine."""
POLL_S, POLL_S_MAX = 0.02, 0.2
"""A look may open all stores: so the longer something takes, the seldomer it is looked for."""
T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """What the gateway said. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def free_port() -> int:
    """A port on loopback that nobody listens on right now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def wait_for(what: str, happens: Callable[[], T], within_s: float = DEADLINE_S) -> T:
    """Look until something true comes back, and return it; fail with `what` if it does not."""
    ends_at, pause_s = time.monotonic() + within_s, POLL_S
    while True:
        if seen := happens():
            return seen
        if time.monotonic() > ends_at:
            raise AssertionError(f"not within {within_s:g} s: {what} (last seen: {seen!r})")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.3, POLL_S_MAX)


class Gateway:
    """The command `uvicorn src.api.webhook_server:app --workers N`, and its data folder.

    Args:
        folder: for its data, fleet file and output.
        fleet: the text of its fleet file.
        workers: how many.
        settings: `COMPORTA_…` by their names in lower case, without the prefix.
    """

    def __init__(self, folder: Path, fleet: str, *, workers: int = 1, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.count = folder, free_port(), workers
        self.data = Path(str(settings.pop("data", folder / "data")))
        self.fleet_file = folder / "fleet.toml"
        self.fleet_file.write_text(fleet)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
        self.environment |= {
            "COMPORTA_DATA": str(self.data),
            "COMPORTA_FLEET": str(self.fleet_file),
            "PYTHONPATH": str(ROOT / "src"),
            "LC_ALL": "C.UTF-8",
        }
        self.environment |= {f"COMPORTA_{k.upper()}": str(v) for k, v in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    # Life

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when all its workers share the partitions."""
        self.launch()
        try:
            wait_for("all workers are ready", self.is_settled)
        except AssertionError:
            self.kill()
            print(self.log[-5000:])  # noqa: T201  (what pytest shows of a failure)
            raise

    def launch(self) -> None:
        """Start it, and return at once."""
        with (self.folder / "gateway.log").open("ab") as output:
            self._process = subprocess.Popen(
                self.program(),
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def program(self) -> list[str]:
        """What is started."""
        return [
            *(sys.executable, "-m", "uvicorn", "src.api.webhook_server:app"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", str(self.count)),
        ]

    def stop(self, within_s: float = DEADLINE_S) -> int:
        """End it as an operator does, with SIGTERM; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self.wait(within_s)

    def wait(self, within_s: float = DEADLINE_S) -> int:
        """Wait for its end, which somebody has brought about; its exit status."""
        assert self._process is not None
        status = self._process.wait(within_s)
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL, for it and all of its workers."""
        process, self._process = self._process, None
        assert process is not None
        with suppress(ProcessLookupError):  # all of it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)

    @property
    def workers(self) -> list[int]:
        """The pids of its workers; with one worker that is the command itself."""
        if self.count == 1:
            return [self.pid]
        return _children(self.pid, b"spawn_main")

    @property
    def dispatchers(self) -> dict[int, int]:
        """Each worker's pid → the pid of its dispatch process; without those that have none."""
        found = {worker: _children(worker, b"comporta.dispatching") for worker in self.workers}
        return {worker: pids[0] for worker, pids in found.items() if pids}

    def is_ready(self) -> bool:
        """Whether `/readyz` says yes."""
        assert self._process is not None
        assert self._process.poll() is None, f"it ended:\n{self.log[-3000:]}"
        try:
            return self.get("/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def is_settled(self) -> bool:
        """Whether exactly its workers are known to live, and hold all partitions, evenly."""
        if not self.is_ready():
            return False
        try:
            workers = self.get("/health").json["workers"] or []
        except (OSError, http.client.HTTPException):
            return False  # the worker that was to answer is gone
        if sorted(worker["pid"] for worker in workers) != sorted(self.workers):
            return False
        shares = [worker["partitions"] for worker in workers]
        return len(shares) == self.count and sum(shares) == 16 and max(shares) - min(shares) <= 1

    @property
    def log(self) -> str:
        """Everything that it has printed, over all starts."""
        path = self.folder / "gateway.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # Talk

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request over a connection of its own; an iterable body goes in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, headers)

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request(
            "POST", path, body, {"Content-Type": "application/json"} | {**(headers or {})}
        )

    def connect(self) -> socket.socket:
        """A plain connection."""
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)

    def metrics(self) -> dict[str, float]:
        """`name{labels}` → value, as Prometheus would read it."""
        lines = self.get("/metrics").body.decode().splitlines()
        pairs = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in pairs}

    def command(self, *arguments: str) -> Any:
        """Run `comporta … --json`; what it printed."""
        said = run_command(*arguments, "--json", env=self.environment)
        assert said.code == 0, said.err
        return said.data

    def apply(self, fleet: str) -> None:
        """Run `comporta apply` with this fleet."""
        self.fleet_file.write_text(fleet)
        self.command("apply", str(self.fleet_file), "--yes")

    def ask(self, question: Callable[[Stores], Awaitable[T]]) -> T:
        """Open the gateway's stores beside it, as the command line does, and ask them."""

        async def main() -> T:
            async with asyncio.timeout(DEADLINE_S), open_stores(Settings(data=self.data)) as stores:
                return await question(stores)

        return asyncio.run(main())


class ServedGateway(Gateway):
    """The command `comporta serve --workers N` in its place."""

    def program(self) -> list[str]:
        """What is started."""
        return [
            *(sys.executable, "-m", "comporta.cli", "serve", "--workers", str(self.count)),
            *("--host", "127.0.0.1", "--port", str(self.port)),
        ]


def _children(pid: int, marked: bytes) -> list[int]:
    """The children of a process whose command line has a mark."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children if marked in _command_of(child)]


def _command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
