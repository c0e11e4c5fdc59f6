"""`comporta deploy`: what it writes where, and what it leaves alone."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from comporta.deploy.plan import Plan

PLAN = Plan(3, 30, 2, 4, "redis", "postgresql", "redis", 16, 7, 8.0)
DOMAIN = ("--domain", "hooks.example.com")
SERVERS = ("--server", "server-1=10.0.0.11", "--server", "server-2=10.0.0.12")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.json"
    file.write_bytes(msgspec.json.encode(PLAN))
    return file


def test_files_of_a_plan_are_written_and_the_next_commands_told(
    comporta: Any, plan: Path, tmp_path: Path
) -> None:
    to = tmp_path / "out"
    ran = comporta(
        *("deploy", "nginx", "--to", str(to), "--plan", str(plan), *DOMAIN, *SERVERS, "--json")
    )
    assert ran.code == 0
    assert ran.data["files"] == [{"path": "comporta.conf", "outcome": "new"}]
    assert ran.data["next"][0] == f"cp {to}/comporta.conf /etc/nginx/conf.d/"
    text = (to / "comporta.conf").read_text()
    assert "server 10.0.0.11:8001" in text
    assert "server 10.0.0.12:8001" in text


def test_a_file_of_somebody_else_stays_unless_forced(comporta: Any, tmp_path: Path) -> None:
    arguments = ("deploy", "systemd", "--to", str(tmp_path), *DOMAIN)
    assert comporta(*arguments).code == 0
    mine = tmp_path / "comporta.toml"
    mine.write_text("# mine\n")
    (tmp_path / "comporta.service").unlink()
    refused = comporta(*arguments)
    assert refused.code == 7
    assert "comporta.toml" in refused.err
    assert mine.read_text() == "# mine\n"
    assert not (tmp_path / "comporta.service").exists(), "nothing at all was written"
    forced = comporta(*arguments, "--force", "--json")
    outcomes = {one["path"]: one["outcome"] for one in forced.data["files"]}
    assert outcomes["comporta.toml"] == "replaced"
    assert outcomes["comporta.service"] == "new"
    assert outcomes["comporta.socket"] == "same"


def test_without_a_plan_servers_that_are_named_share_engines(comporta: Any, tmp_path: Path) -> None:
    assert comporta("deploy", "systemd", "--to", str(tmp_path), *DOMAIN, *SERVERS).code == 0
    assert "postgresql://" in (tmp_path / "comporta.toml").read_text()
    alone = tmp_path / "alone"
    assert comporta("deploy", "systemd", "--to", str(alone), *DOMAIN).code == 0
    assert "postgresql://" not in (alone / "comporta.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--domain hooks.example.com"),
        (("--domain", "x;y"), "not a domain name"),
        ((*DOMAIN, "--behind", "0.0.0.0/0"), "everybody"),
        ((*DOMAIN, "--server", "a b=c"), "server's name"),
        ((*DOMAIN, "--plan", "/nowhere/plan.json"), "cannot be read"),
        ((*DOMAIN, "--to", "/proc/x"), "cannot be written to"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words_and_nothing_is_written(
    comporta: Any, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    to = tmp_path / "out"
    ran = comporta("deploy", "nginx", "--to", str(to), *arguments)
    assert ran.code == 6
    assert said in ran.err
    assert not to.exists()


def test_a_plan_with_more_servers_than_are_named_says_how_to_name_them(
    comporta: Any, plan: Path, tmp_path: Path
) -> None:
    ran = comporta("deploy", "haproxy", "--to", str(tmp_path), "--plan", str(plan), *DOMAIN)
    assert ran.code == 6
    assert "--server server-1=10.0.0.11 --server server-2=10.0.0.12" in ran.err
    # Containers find each other by themselves.
    out = str(tmp_path / "swarm")
    assert comporta("deploy", "swarm", "--to", out, "--plan", str(plan), *DOMAIN).code == 0
