"""A real Redis for tests, as durable as it can be; other settings and modes by their arguments."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.support.servers.program import START_S, Program, free_port, required

DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}
_THIRDS = ((0, 5460), (5461, 10922), (10923, 16383))
_QUIET = {"daemonize": "no", "bind": "127.0.0.1", "protected-mode": "no", "loglevel": "notice"}


class RedisProcess:
    """One redis-server.

    Args:
        folder: its own.
        settings: instead of, or beside, those that make it durable.
        login: what `redis-cli` has to say to it.
    """

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
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._program.pid

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

    def ensure(self) -> None:
        """Start it again if a test left it killed or frozen."""
        if not self._program.running:
            self.restart()
        self.thaw()

    def _answers(self) -> bool:
        return self.cli("PING") == "PONG"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()


class RedisSentinel(RedisProcess):
    """One sentinel that alone decides, about a second after it is gone, that a server is gone.

    Args:
        folder: its own.
        watched: the server that it starts with, as the service `main`.
    """

    def __init__(self, folder: Path, watched: RedisProcess) -> None:
        super().__init__(folder)
        self._program = Program([self._server, "redis.conf", "--sentinel"], folder, self._answers)
        self.kill = self._program.kill
        port = watched.port
        self.settings = {
            **_QUIET,
            "port": str(self.port),
            "sentinel monitor main": f"127.0.0.1 {port} 1",
            "sentinel down-after-milliseconds main": "1000",
            "sentinel failover-timeout main": "5000",
        }

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/main/0"


def _wait(happens: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + START_S
    while not happens():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


def _cluster_settings() -> dict[str, str]:
    return {
        "cluster-enabled": "yes",
        "cluster-node-timeout": "2000",
        "cluster-port": str(free_port()),
        "repl-diskless-sync-delay": "0",
    }


class RedisCluster:
    """Three servers that share the slots; they insist on the keys of one call being in one slot."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [
            RedisProcess(folder / str(number), _cluster_settings()) for number in range(3)
        ]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        first, *others = self.nodes
        for node in others:
            node.cli(
                "CLUSTER", "MEET", "127.0.0.1", str(first.port), first.settings["cluster-port"]
            )
        for node, (low, high) in zip(self.nodes, _THIRDS, strict=True):
            node.cli("CLUSTER", "ADDSLOTSRANGE", str(low), str(high))
        self._wait_until_ok()

    def owner(self, key: str) -> RedisProcess:
        """The server that has a key's slot."""
        slot = int(self.nodes[0].cli("CLUSTER", "KEYSLOT", key))
        thirds = zip(self.nodes, _THIRDS, strict=True)
        return next(node for node, (low, high) in thirds if low <= slot <= high)

    def replica_of(self, node: RedisProcess, folder: Path) -> RedisProcess:
        """Start one more server, which takes over when `node` is gone."""
        replica = RedisProcess(folder, _cluster_settings())
        replica.start()
        for one in self.nodes:
            replica.cli("CLUSTER", "MEET", "127.0.0.1", str(one.port), one.settings["cluster-port"])
        id_ = node.cli("CLUSTER", "MYID")
        _wait(lambda: replica.cli("CLUSTER", "REPLICATE", id_) == "OK")
        _wait(lambda: self._ready_to_vote(replica))
        return replica

    def _ready_to_vote(self, replica: RedisProcess) -> bool:
        """All have heard of it, and it of all: otherwise nobody is elected."""
        all_of_them = [*self.nodes, replica]
        known = [one.cli("CLUSTER", "NODES") for one in all_of_them]
        as_replica = f":{replica.port}@{replica.settings['cluster-port']} slave"
        return all(f":{one.port}@" in nodes for nodes in known for one in all_of_them) and all(
            as_replica in nodes for nodes in known[:-1]
        )

    def _wait_until_ok(self) -> None:
        _wait(lambda: all("cluster_state:ok" in n.cli("CLUSTER", "INFO") for n in self.nodes))

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def restart(self) -> None:
        for node in self.nodes:
            node.restart()
        self._wait_until_ok()

    def freeze(self) -> None:
        for node in self.nodes:
            node.freeze()

    def thaw(self) -> None:
        for node in self.nodes:
            node.thaw()

    def ensure(self) -> None:
        for node in self.nodes:
            node.ensure()
        self._wait_until_ok()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
