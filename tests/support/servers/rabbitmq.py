"""A RabbitMQ for tests: Debian's `rabbitmq-server`, with a node name, ports and an epmd of its own.

Nothing is shared with a RabbitMQ of the machine, and nothing outlives the test.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

BIN = Path("/usr/lib/rabbitmq/bin")
STARTS_WITHIN_S = 90.0
ANSWERS_WITHIN_S = 5.0
_HELLO = b"AMQP\x00\x00\x09\x01"
_CONFIG = """
listeners.tcp.1 = 127.0.0.1:{port}
raft.wal_max_size_bytes = 67108864
disk_free_limit.absolute = 1MB
{more}
"""


def free_port() -> int:
    """A TCP port of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class RabbitServer:
    """One node. `with` starts and ends it; its data are kept until the folder is deleted.

    Args:
        folder: empty; of this server alone.
        config: more lines of `rabbitmq.conf`.
    """

    def __init__(self, folder: Path, config: str = "") -> None:
        if not (BIN / "rabbitmq-server").exists() or shutil.which("epmd") is None:
            missing = "rabbitmq-server is not installed (Debian: apt install rabbitmq-server)"
            if os.environ.get("CI") == "true":
                pytest.fail(missing)
            pytest.skip(missing)
        self.folder, self.port = folder, free_port()
        self._config = config
        self._name = f"comporta-{secrets.token_hex(4)}@localhost"
        self._dist_port, self._epmd_port = free_port(), free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of the default virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start; returns once it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text(
            _CONFIG.format(port=self.port, more=self._config)
        )
        (self.folder / "plugins").write_text("[].\n")
        if self._epmd is None:
            self._epmd = self._run("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
        self._node = self._run(str(BIN / "rabbitmq-server"))
        self._await_answer()
        return self

    def kill(self) -> None:
        """Kill it as a power cut would; `start` brings it back with its data."""
        self._signal(signal.SIGKILL)
        if self._node is not None:
            self._node.wait()
            self._node = None

    def freeze(self) -> None:
        """Stop its processes where they are; connections stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, and what belongs to it."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def eval(self, expression: str) -> str:
        """Have the node evaluate an Erlang expression; what `rabbitmqctl` prints."""
        done = subprocess.run(
            [BIN / "rabbitmqctl", "--node", self._name, "eval", expression],
            env=self._environment(),
            capture_output=True,
            check=True,
            timeout=60,
        )
        return done.stdout.decode()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            **os.environ,
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
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            # Waiting without spinning: the machine is shared with what is tested.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none"
            " +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _signal(self, number: signal.Signals) -> None:
        if self._node is not None and self._node.poll() is None:
            os.killpg(self._node.pid, number)

    def _await_answer(self) -> None:
        ends_at = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < ends_at:
            assert self._node is not None
            if self._node.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.1)
        said = (self.folder / "output").read_text(errors="replace")[-2_000:]
        self.stop()
        pytest.fail(f"RabbitMQ did not start within {STARTS_WITHIN_S:g} s:\n{said}")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), ANSWERS_WITHIN_S) as peer:
                peer.settimeout(ANSWERS_WITHIN_S)
                peer.sendall(_HELLO)
                return peer.recv(1) == b"\x01"
        except OSError:
            return False
