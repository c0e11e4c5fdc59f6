"""The command line as a person uses it: real processes, gateways, signals and terminals."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.commands import run_command

SRC = Path(__file__).resolve().parents[2] / "src"
COMPORTA = [sys.executable, "-m", "comporta.cli"]
DEADLINE_S = 60
"""For what has to come: a real start on a busy machine takes its time."""


def environment(data: Path, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
    return clean | {
        "COMPORTA_DATA": str(data),
        "PYTHONPATH": str(SRC),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        **more,
    }


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Running:
    """A command that goes on, and what it has said so far."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.said = ""

    def until(self, pattern: str) -> "re.Match[str]":
        """Wait until it says something that matches."""
        ends_at = time.monotonic() + DEADLINE_S
        assert self.process.stdout is not None
        while not (found := re.search(pattern, self.said)):
            left_s = ends_at - time.monotonic()
            ready = select.select([self.process.stdout], [], [], max(0, left_s))[0]
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert chunk, f"{pattern!r} was not said in:\n{self.said}"
            self.said += chunk.decode()
        return found

    def interrupted(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        self.process.send_signal(signal.SIGINT)
        out, _err = self.process.communicate(timeout=DEADLINE_S)
        self.said += out.decode()
        return self.process.returncode


@contextmanager
def running(*arguments: str, env: dict[str, str]) -> Iterator[Running]:
    process = subprocess.Popen(
        [*COMPORTA, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def call(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMPORTA, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def data_of(*arguments: str, env: dict[str, str]) -> Any:
    said = run_command(*arguments, "--json", env=env)
    assert said.code == 0, said.err
    return said.data


def test_from_the_first_start_to_events_on_the_screen_and_a_second_start(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", COMPORTA_PORT=str(free_port()))
    with running("serve", "--welcome", "--lang", "pt-BR", env=env) as gateway:
        token = gateway.until(r"/webhook/(cmp_\S+)")[1]
        gateway.until("Cole esta URL de webhook no Chatwoot")
        gateway.until(r"comporta simulate")
        _wait_until_ready(env)
        sent = data_of("simulate", "--count", "5", "--chatwoots", "2", env=env)
        assert (sent["accepted"], sent["sent"]) == (5, 5)
        gateway.until(r"\d\d:\d\d:\d\d  sim-[12]  contact_created  contact:\d")
        assert gateway.interrupted() == 0
        assert "Traceback" not in gateway.said
    assert token not in call("source", "list", env=env).stdout
    with running("serve", "--welcome", env=env) as gateway:
        gateway.until("comporta source token add")
        _wait_until_ready(env)
        assert "/webhook/" not in gateway.said
        assert gateway.interrupted() == 0


def _wait_until_ready(env: dict[str, str]) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends_at:
        if _answers(int(env["COMPORTA_PORT"])):
            return
        time.sleep(0.05)
    pytest.fail("the gateway is not ready")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b" 200 " in connection.recv(100)
    except OSError:
        return False


def test_what_came_in_can_be_asked_for_and_redriven(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", COMPORTA_PORT=str(free_port()))
    nowhere = f"http://127.0.0.1:{free_port()}/"
    assert call("destination", "add", "crm", nowhere, "--retry", "", env=env).returncode == 0
    assert call("route", "add", "all", "--to", "crm", env=env).returncode == 0
    with running("serve", env=env):
        _wait_until_ready(env)
        data_of("simulate", "--count", "4", "--chatwoots", "1", "--yes", env=env)
        ends_at = time.monotonic() + DEADLINE_S
        while len(data_of("dead", env=env)) < 4 and time.monotonic() < ends_at:
            pass
        (event, *_others) = data_of("events", env=env)
        story = data_of("event", "show", event["id"], env=env)
        assert story["timeline"][0]["state"] == "dead"
        assert "cannot connect" in story["timeline"][0]["tries"][0]["error"]
        assert data_of("doctor", env=env)[0]["level"] == "ok"
        done = data_of("redrive", "--destination", "crm", "--yes", env=env)
        assert done == {"matched": 4, "redriven": 4, "without_body": 0}
        again = data_of("replay", "--event", event["id"], "--yes", env=env)
        assert again["replayed"] == 1
        assert any(one["replay"] for one in data_of("deliveries", env=env))
    with running("events", "--follow", "--since", "1h", env=env) as following:
        following.until(event["id"])
        assert following.interrupted() == 130
        assert "Traceback" not in following.said


def test_a_fleet_file_without_tokens_kept_the_gateway_from_starting(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", COMPORTA_PORT=str(free_port()))
    file = tmp_path / "fleet.toml"
    source = '[[instance.source]]\nname = "conta"\nkind = "account"\n'
    file.write_text(f'[[instance]]\nname = "loja-sp"\n{source}')
    command = ("serve", "--fleet", str(file), "--workers", "2")
    with running(*command, env=env) as gateway:
        url = gateway.until(r"http://localhost:\d+/webhook/cmp_\S+")[0]
        _wait_until_ready(env)
        sent = data_of("simulate", "--webhook-url", url, "--count", "3", "--unsigned", env=env)
        assert sent["accepted"] == 3
        assert gateway.interrupted() == 0
    with running(*command, env=env) as gateway:
        _wait_until_ready(env)
        assert gateway.interrupted() == 0
        assert "cmp_" not in gateway.said
    file.write_text(f'[[instance]]\nname = "loja-sp"\nurrl = ""\n{source}')
    refused = call(*command, env=env)
    assert (refused.returncode, "fleet.toml:3" in refused.stderr) == (6, True)


def test_several_workers_run_under_one_command_and_end_together(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", COMPORTA_PORT=str(free_port()))
    with running("serve", "--workers", "2", "--welcome", "--json", env=env) as gateway:
        url = gateway.until(r'"webhook_urls":\["([^"]+)"\]')[1]
        _wait_until_ready(env)
        assert data_of("simulate", "--webhook-url", url, "--count", "5", env=env)["accepted"] == 5
        gateway.until('"event_type":"contact_created"')
        assert gateway.interrupted() == 0


def test_the_demo_loses_nothing(tmp_path: Path) -> None:
    shown = data_of("demo", "--seconds", "2", env=environment(tmp_path / "data"))
    assert shown["accepted"] > 50
    assert (shown["lost"], shown["out_of_order"]) == (0, 0)
    assert not (tmp_path / "data").exists()


def test_the_sink_ends_with_its_summary(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    with running("sink", "--port", "0", "--fail", "1", "--status", "500", env=env) as sink:
        url = sink.until(r"http://127\.0\.0\.1:\d+/")[0]
        done = call("simulate", "--webhook-url", url, "--count", "6", "--rate", "0", env=env)
        assert done.returncode == 1
        assert "6 × HTTP 500" in done.stdout
        assert sink.interrupted() == 0
        assert re.search(r"Refused on purpose +6", sink.said)


def test_a_port_in_use_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = call("serve", "--host", "127.0.0.1", "--port", port, env=environment(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Cannot listen at 127.0.0.1:{port}")
    assert "--port" in done.stderr


def test_simulate_without_a_gateway_says_how_to_start_one(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", COMPORTA_PORT=str(free_port()))
    done = call("simulate", env=env)
    assert (done.returncode, "comporta serve" in done.stderr) == (1, True)


def test_simulated_events_reached_real_destinations_and_their_instances_stayed(
    tmp_path: Path,
) -> None:
    env = environment(tmp_path / "data", COMPORTA_PORT=str(free_port()))
    nowhere = f"http://127.0.0.1:{free_port()}/"
    assert call("instance", "add", "loja-sp", env=env).returncode == 0
    assert call("source", "add", "sim-2/conta", env=env).returncode == 3
    assert call("instance", "add", "sim-2", env=env).returncode == 0
    assert call("source", "add", "sim-2/conta", env=env).returncode == 0
    assert call("destination", "add", "crm", nowhere, env=env).returncode == 0
    assert (
        call("route", "add", "trial", "--to", "crm", "--instance", "sim-*", env=env).returncode == 0
    )
    trial = ("simulate", "--count", "6", "--rate", "0")
    with running("serve", env=env):
        _wait_until_ready(env)
        assert data_of(*trial, env=env)["accepted"] == 6
        assert len(data_of("deliveries", env=env)) == 6
        left = {one["name"]: one for one in data_of("instance", "list", env=env)}
        assert set(left) == {"loja-sp", "sim-2"}
        assert [one["name"] for one in data_of("source", "list", env=env)] == ["conta"]
        assert call("route", "add", "all", "--to", "crm", env=env).returncode == 0
        refused = call(*trial, "--json", env=env)
        assert (refused.returncode, "--yes" in refused.stderr) == (4, True)
        assert len(data_of("events", env=env)) == 6
        assert data_of(*trial, "--yes", env=env)["accepted"] == 6


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = [*COMPORTA, "version"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command,
        env=environment(tmp_path),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": ""}, "Uso: comporta"),
        ({"LANG": "C.UTF-8", "LC_ALL": ""}, "Usage: comporta"),
        ({"COMPORTA_LANG": "pt_BR"}, "Uso: comporta"),
    ],
)
def test_help_speaks_the_language_of_the_locale(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    assert words in call("--help", env=environment(tmp_path, **variables)).stdout


def test_the_shell_completes_commands_and_options(tmp_path: Path) -> None:
    for words, expected in (("comporta ev", "events"), ("comporta events --fo", "--follow")):
        done = call(
            env=environment(
                tmp_path,
                _COMPORTA_COMPLETE="complete_bash",
                COMP_WORDS=words,
                COMP_CWORD=str(len(words.split()) - 1),
            )
        )
        assert expected in done.stdout.split()


def test_at_a_terminal_a_person_is_asked_and_a_no_changes_nothing(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    assert call("instance", "add", "loja-sp", env=env).returncode == 0
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [*COMPORTA, "instance", "remove", "loja-sp"],
        env=env,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    said = b""
    while b"[y/N]" not in said:
        assert select.select([outer], [], [], DEADLINE_S)[0]
        said += os.read(outer, 4096)
    os.write(outer, b"n\n")
    assert process.wait(DEADLINE_S) == 4
    os.close(outer)
    assert [one["name"] for one in data_of("instance", "list", env=env)] == ["loja-sp"]


def test_at_a_terminal_tables_are_drawn_for_people(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", TERM="xterm", COLUMNS="120")
    assert call("instance", "add", "loja-sp", env=env).returncode == 0
    outer, inner = pty.openpty()
    process = subprocess.Popen([*COMPORTA, "instance", "list"], env=env, stdout=inner)
    assert process.wait(DEADLINE_S) == 0
    os.close(inner)
    said = os.read(outer, 65536).decode()
    os.close(outer)
    assert "\x1b[1m" in said
    assert "loja-sp" in said


def test_what_a_store_logs_does_not_spoil_the_answer_for_programs(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    assert call("init", env=env).returncode == 0
    log = tmp_path / "data" / "log.db"
    for file in tmp_path.glob("data/log.db*"):
        file.unlink()
    log.write_bytes(b"this is no database" * 1000)
    done = call("instance", "list", "--json", env=env)
    assert [one["name"] for one in msgspec.json.decode(done.stdout)] == ["chatwoot"]
    assert done.stderr == ""
    findings = msgspec.json.decode(call("doctor", "--json", env=env).stdout)
    assert any(one["level"] == "error" and str(log) in one["found"] for one in findings)
