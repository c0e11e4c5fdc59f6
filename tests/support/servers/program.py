"""A server program for tests: started in its own folder on a free port, ended by its process."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

START_S = 60.0
STOP_S = 10.0
LINES_SHOWN = 30


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody takes connections on it."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def required(name: str, package: str) -> str:
    """The path of a program; without it a skip on a laptop, and a failure where CI=true."""
    path = shutil.which(name)
    if path is not None:
        return path
    return missing(f"{name} is not installed (Debian: apt install {package})")


def missing(why: str) -> NoReturn:
    """Something that a test needs cannot be had: a skip on a laptop, a failure where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


class Program:
    """One process with its log in `folder`, and what faults do to it."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command, self.folder, self._answers = list(command), folder, answers
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        return self.folder / "output.log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of its process, which has to run."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        ends_at = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > ends_at:
                self.kill()
                last = self.output.read_text(errors="replace").splitlines()[-LINES_SHOWN:]
                raise AssertionError("it does not start:\n" + "\n".join(last))
            time.sleep(0.02)

    def kill(self) -> None:
        """`kill -9`; its data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to end, for it may have processes of its own to take with it."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            self.kill()

    def restart(self) -> None:
        """Start it again, with its data; killed before if it runs."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """It holds its connections and says nothing, from when this returns."""
        self._signal(signal.SIGSTOP)
        ends_at = time.monotonic() + START_S
        while not self._stands():
            assert time.monotonic() < ends_at, "it does not stand still"
            time.sleep(0.001)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT)

    def _stands(self) -> bool:
        """Whether all its threads are stopped: on a busy machine they go on for a moment."""
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        return all(") T " in (thread / "stat").read_text() for thread in threads)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
