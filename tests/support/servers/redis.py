"""A real Redis for tests, as durable as it can be; other settings and modes by their arguments."""

import subprocess
from pathlib import Path
from typing import Self

from tests.support.servers.program import Program, free_port, required

DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}
_QUIET = {"daemonize": "no", "bind": "127.0.0.1", "protected-mode": "no", "loglevel": "notice"}


class RedisProcess:
    """One redis-server.

    Args:
        folder: its own.
        settings: instead of, or beside, those that make it durable.
        login: what `redis-cli` has to say to it.
    """

    scheme = "redis"

    def __init__(
        self, folder: Path, settings: dict[str, str] | None = None, login: tuple[str, ...] = ()
    ) -> None:
        self._server = required("redis-server", "redis-server")
        self._cli = required("redis-cli", "redis-tools")
        self.port, self._login = free_port(), login
        self.settings = {**_QUIET, "port": str(self.port), **DURABLE, **(settings or {})}
        self._program = Program([self._server, "redis.conf"], folder, self._answers)
        self.restart, self.kill = self._program.restart, self._program.kill
        self.freeze, self.thaw = self._program.freeze, self._program.thaw

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        folder = self._program.folder
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name} {value or chr(34) * 2}\n" for name, value in self.settings.items()]
        (folder / "redis.conf").write_text("".join(lines))
        self._program.start()

    def cli(self, *words: str) -> str:
        """What `redis-cli` answers; "" if it cannot connect."""
        done = subprocess.run(
            [self._cli, "-p", str(self.port), *self._login, *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout.strip()

    def _answers(self) -> bool:
        return self.cli("PING") == "PONG"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()


class RedisNode(RedisProcess):
    """A cluster of one node: it has all slots, and insists on keys of one call being in one."""

    scheme = "redis+cluster"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"cluster-enabled": "yes", "cluster-node-timeout": "2000"})

    def start(self) -> None:
        super().start()
        if "cluster_state:ok" not in self.cli("CLUSTER", "INFO"):
            self.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        while "cluster_state:ok" not in self.cli("CLUSTER", "INFO"):
            pass
