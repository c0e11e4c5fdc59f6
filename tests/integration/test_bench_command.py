"""`comporta bench` and `comporta plan` as a person uses them: real gateways, and a terminal."""

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from comporta.deploy.figures import Figures

SRC = Path(__file__).resolve().parents[2] / "src"
DEADLINE_S = 90
HURRIED = """
import sys
from comporta.cli import main
if __name__ == "__main__":
    from comporta import i18n
    i18n.use("en")
    from comporta.cli import bench, bench_run
    bench.TIMES = bench_run.Times(
        warm_s=0.2, intake_s=0.4, backlog_s=0.3, sustained_s=0.6, settle_s=2.0, most_s=80.0
    )
    bench_run.workers_of = lambda _cpus: 1
    sys.exit(main())
"""


def environment(folder: Path) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("COMPORTA_", "XDG_"))}
    return clean | {
        "COMPORTA_DATA": str(folder / "data"),
        "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": str(SRC),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def hurried(tmp_path: Path) -> Path:
    """The command line with short rounds; a file, for processes are started from it."""
    script = tmp_path / "hurried.py"
    script.write_text(HURRIED)
    return script


def test_what_is_measured_is_kept_and_planned_with(tmp_path: Path, hurried: Path) -> None:
    env = environment(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (data / "ledger.db").write_bytes(b"not to be touched")
    done = subprocess.run(
        [sys.executable, str(hurried), "bench", "--save", "--json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = msgspec.json.decode(done.stdout, type=Figures)
    for name in Figures.__struct_fields__[2:]:
        assert getattr(figures, name) > 0, name
    assert figures.machine.cpus == len(os.sched_getaffinity(0))
    assert figures.stored_bytes > figures.body_bytes > 2000
    assert [one.name for one in data.iterdir()] == ["ledger.db"]
    assert (data / "ledger.db").read_bytes() == b"not to be touched"
    saved = (tmp_path / "state" / "comporta" / "bench.json").read_bytes()
    assert msgspec.json.decode(saved, type=Figures) == figures
    plan = subprocess.run(
        [sys.executable, "-m", "comporta.cli", "plan", "--json"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert msgspec.json.decode(plan.stdout)["measured"]


def test_who_is_stopped_amid_measuring_leaves_nothing_behind(tmp_path: Path, hurried: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(hurried), "bench"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    ends_at = time.monotonic() + DEADLINE_S
    while not gateways_in(data):
        assert process.poll() is None
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    process.terminate()
    said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, said
    assert not gateways_in(data)
    assert not list(data.iterdir())


def gateways_in(folder: Path) -> list[int]:
    """The processes whose command line names something in the folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in line.read_bytes():
                found.append(int(line.parent.name))
    return found


def test_at_a_terminal_a_person_is_asked_until_the_answer_can_be_planned_with(
    tmp_path: Path,
) -> None:
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "comporta.cli", "plan"],
        env=environment(tmp_path),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    said = ""

    def answered(question: str, answer: str) -> None:
        nonlocal said
        while not re.search(f"(?s){question}[^\n]*: $", said):
            assert select.select([outer], [], [], DEADLINE_S)[0], said
            said += os.read(outer, 4096).decode()
        os.write(outer, f"{answer}\n".encode())
        said = ""

    answered("Chatwoot installations", "many")
    answered("many is not a number.*Chatwoot installations", "0")
    answered("it has to be from 1 to 100000.*Chatwoot installations", "30")
    answered(r"Conversations a day.*\[9000\]", "")
    answered(r"Busiest minute.*\[5\]", "4,5")
    answered("CPUs of each server", "4")
    answered("Memory of each server", "8")
    answered("Days for which bodies are kept", "3")
    while "At about 50 instances" not in said:
        assert select.select([outer], [], [], DEADLINE_S)[0], said
        said += os.read(outer, 4096).decode()
    assert process.wait(DEADLINE_S) == 0
    os.close(outer)
    assert "2 servers, each with 4 CPUs and 8 GiB" in said
    assert "bodies for 3 days" in said
