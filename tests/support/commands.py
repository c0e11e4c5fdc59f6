"""The command line for tests that type much: a process that has it imported forks for each command.

Each command has a process, an environment, a folder and streams of its own, as at a prompt; only
what Python takes to start and to import is spent once. It speaks English. How the command really
starts, and in which languages it speaks, is shown by tests/integration/test_cli.py.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return msgspec.json.decode(self.out)


class Order(msgspec.Struct, frozen=True):
    """A command to run: its words, where, and the files for what it prints."""

    words: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    out: str
    err: str


def run_command(*words: str, env: Mapping[str, str], cwd: Path = ROOT) -> Said:
    """Run `comporta WORDS` in an environment and a folder."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory(prefix="comporta-said-") as name:
        out, err = Path(name, "out"), Path(name, "err")
        order = Order(words, dict(env), str(cwd), str(out), str(err))
        server.stdin.write(msgspec.json.encode(order) + b"\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], WITHIN_S)[0]:
            os.killpg(server.pid, signal.SIGKILL)  # and the command with it
            _server.cache_clear()
            raise AssertionError(f"not within {WITHIN_S:g} s: comporta {' '.join(words)}")
        answer = server.stdout.readline()
        assert answer, "the command line cannot be imported: see above"
        return Said(int(answer), out.read_text(), err.read_text())


@cache
def _server() -> subprocess.Popen[bytes]:
    """The process that forks; it ends with its standard input, and so with the tests."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def serve() -> None:
    """Run each order of standard input in a fork of its own, and answer with its exit code."""
    for name in (
        "cli.app",
        "settings",
        "stores",
        "ledger.sqlite.ledger",
        "log.sqlite",
        "state.sqlite",
    ):
        import_module(f"comporta.{name}")
    for line in sys.stdin.buffer:
        pid = os.fork()
        if not pid:
            _run(msgspec.json.decode(line, type=Order))
        _pid, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(order: Order) -> None:
    """Become the command. Never returns."""
    from comporta.cli import main  # noqa: PLC0415

    code = 70  # as for any fault of a program: its traceback is in what it printed
    try:
        for descriptor, path in enumerate((os.devnull, order.out, order.err)):
            opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.chdir(order.folder)
        os.environ.clear()
        os.environ.update(order.environment)
        code = main(order.words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
