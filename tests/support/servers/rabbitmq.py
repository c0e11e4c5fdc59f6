"""A real RabbitMQ for tests: a node with a name, ports and an epmd of its own.

Nothing is shared with a RabbitMQ of the machine. The scripts of Debian's commands would become
another user; those behind them do not.
"""

import os
import secrets
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.support.servers.program import Program, free_port, required

BIN = Path("/usr/lib/rabbitmq/bin")
ANSWERS_WITHIN_S = 5.0
CTL_S = 60
_HELLO = b"AMQP\x00\x00\x09\x01"
_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
raft.wal_max_size_bytes = 67108864
disk_free_limit.absolute = 1MB
{more}
"""
# Waiting without spinning: the machine is shared with what is tested.
_ERL = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
    " -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
)


class RabbitServer:
    """One rabbitmq-server.

    Args:
        folder: its own.
        config: more lines of `rabbitmq.conf`.
        tls: whether it listens for TLS, too.
    """

    def __init__(self, folder: Path, config: str = "", *, tls: bool = False) -> None:
        required("rabbitmq-server", "rabbitmq-server")
        self.port, self.tls_port, self.folder = free_port(), free_port(), folder
        self._config = config
        if tls:
            self._config += f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
        self._name = f"comporta-{secrets.token_hex(4)}@localhost"
        self._epmd_port = free_port()
        self._environment = self._settings()
        self._node = Program(
            [str(BIN / "rabbitmq-server")], folder, self._answers, self._environment
        )
        epmd = required("epmd", "erlang-base")
        self._epmd = Program(
            [epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            folder / "epmd",
            lambda: _connects(self._epmd_port),
        )
        self.restart, self.kill = self._node.restart, self._node.kill
        self.freeze, self.thaw = self._node.freeze, self._node.thaw

    @property
    def url(self) -> str:
        """Of the default virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(port=self.port, more=self._config)
        (self.folder / "rabbitmq.conf").write_text(config)
        (self.folder / "plugins").write_text("[].\n")
        self._epmd.start()
        self._node.start()

    def ensure(self) -> None:
        """Start it again if a test left it killed or frozen."""
        if not self._node.running:
            self.restart()
        self.thaw()

    def ctl(self, *words: str) -> str:
        """What `rabbitmqctl` says."""
        done = subprocess.run(
            [BIN / "rabbitmqctl", "--quiet", "--node", self._name, *words],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=CTL_S,
        )
        return done.stdout.strip()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        self._epmd.kill()

    def _settings(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the node, and is no parent of it
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{folder}/feature_flags",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERL,
        }

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), ANSWERS_WITHIN_S) as peer:
                peer.settimeout(ANSWERS_WITHIN_S)
                peer.sendall(_HELLO)
                return peer.recv(1) == b"\x01"  # the frame of a method: it says hello, too
        except OSError:
            return False


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), ANSWERS_WITHIN_S).close()
    except OSError:
        return False
    return True
