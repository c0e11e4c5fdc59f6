"""`comporta plan` and what `comporta bench --save` left for it."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from comporta import i18n
from comporta.cli.bench_file import bench_file, save_figures, saved_figures
from comporta.cli.machine import this_machine
from comporta.clock import now_ms
from comporta.deploy import shipped
from comporta.deploy.figures import Figures
from comporta.deploy.plan_file import read_plan
from comporta.errors import ConfigError

Comporta = Callable[..., Any]
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def measured_here(**changed: float) -> Figures:
    machine = this_machine()
    return replace(shipped.FIGURES, machine=machine, at_ms=now_ms() - 3 * DAY_MS, **changed)


def data_of(comporta: Comporta, *options: str) -> dict[str, Any]:
    ran = comporta("plan", "--json", *options)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = msgspec.json.decode(ran.out)
    return found


def test_a_plan_says_everything_in_either_language(comporta: Comporta) -> None:
    options = ("--instances", "30", "--cpus", "4", "--memory-gib", "8")
    english = comporta("plan", *options).out
    assert "3: several servers behind nginx or HAProxy" in english
    assert "2 servers, each with 4 CPUs and 8 GiB" in english
    assert "shipped figures, not measured here" in english
    assert "At about 50 instances like these, move the log to RabbitMQ" in english
    i18n.use("pt_BR")
    portuguese = comporta("plan", *options).out
    assert "3: vários servidores atrás do nginx ou do HAProxy" in portuguese
    assert "valores de fábrica, não medidos aqui" in portuguese
    assert "Com cerca de 50 instâncias como estas, mova o log para o RabbitMQ" in portuguese


def test_nobody_is_asked_in_a_pipe_and_what_is_assumed_is_said(comporta: Comporta) -> None:
    out = comporta("plan").out
    assert "5 are assumed (--instances)" in out
    assert "300 conversations a day" in out
    found = data_of(comporta)
    assert found["asked"]["instances"] == 5
    assert found["asked"]["keep_days"] == 7
    assert len(found["notes"]) >= 4


def test_events_are_taken_as_they_are_given_and_conversations_are_explained(
    comporta: Comporta,
) -> None:
    found = data_of(comporta, "--instances", "2", "--events-a-second", "3.5", "--peak-factor", "2")
    assert (found["asked"]["events_a_second"], found["peak_per_s"]) == (3.5, 7)
    assert not any("conversation" in note for note in found["notes"])
    counted = data_of(comporta, "--instances", "2", "--conversations-a-day", "19200")
    assert counted["asked"]["events_a_second"] == pytest.approx(10)
    assert any("10 messages of 4.5 events" in note for note in counted["notes"])


@pytest.mark.parametrize(
    "options",
    [
        ("--instances", "0"),
        ("--instances", "1000000000"),
        ("--instances=-3",),
        ("--conversations-a-day", "0"),
        ("--events-a-second", "nan"),
        ("--events-a-second", "inf"),
        ("--events-a-second", "0"),
        ("--peak-factor", "0.5"),
        ("--cpus", "0"),
        ("--memory-gib", "1e9"),
        ("--keep-days", "0"),
    ],
)
def test_a_number_that_cannot_be_planned_with_is_refused_by_name(
    comporta: Comporta, options: tuple[str, ...]
) -> None:
    ran = comporta("plan", *options)
    assert ran.code == 2
    assert options[0].partition("=")[0] in ran.err
    assert "it has to be from" in ran.err
    assert ran.out == ""


def test_load_is_given_in_one_way_only(comporta: Comporta) -> None:
    ran = comporta("plan", "--conversations-a-day", "5", "--events-a-second", "5")
    assert ran.code == 2
    assert "not both" in ran.err


def test_a_plan_is_saved_for_the_files_to_be_made_from(comporta: Comporta, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    found = data_of(comporta, "--instances", "60", "--save", str(file))
    assert msgspec.to_builtins(read_plan(file)) == found["plan"]
    other = tmp_path / "comporta.toml"
    other.write_text("port = 8001\n")
    ran = comporta("plan", "--save", str(other))
    assert ran.code == 6
    assert "is not a plan" in ran.err
    assert other.read_text() == "port = 8001\n"


def test_what_was_measured_here_is_planned_with_and_its_age_is_said(comporta: Comporta) -> None:
    save_figures(measured_here(sustained_per_s=10_000.0, dispatch_cpu_us=100.0))
    ran = comporta("plan", "--instances", "10")
    assert "measured here 3 days ago" in ran.out
    found = data_of(comporta, "--instances", "10")
    assert found["measured"]
    assert (found["table_phase"], found["plan"]["phase"]) == (2, 1)
    assert any("The plan follows the measurement" in note for note in found["notes"])
    heavy = data_of(comporta, "--instances", "3", "--events-a-second", "5000")
    assert (heavy["table_phase"], heavy["plan"]["phase"]) == (1, 4)
    assert any("The plan follows the load" in note for note in heavy["notes"])


def test_what_was_measured_on_another_machine_is_named_and_not_believed(
    comporta: Comporta,
) -> None:
    figures = measured_here(sustained_per_s=77.0)
    other = replace(figures.machine, cpus=figures.machine.cpus + 1, cpu="Other CPU")
    save_figures(replace(figures, machine=other))
    found = data_of(comporta)
    assert not found["measured"]
    assert found["figures"]["sustained_per_s"] == shipped.FIGURES.sustained_per_s
    assert any("Other CPU" in note for note in found["notes"])


def test_workers_that_have_no_room_are_named(comporta: Comporta) -> None:
    few = data_of(comporta, "--instances", "10", "--cpus", "8", "--memory-gib", "1")
    assert few["plan"]["workers"] < 8
    assert any("the memory has no room for them" in note for note in few["notes"])
    none = data_of(comporta, "--instances", "10", "--cpus", "8", "--memory-gib", "0.25")
    assert any("The memory is too little" in note for note in none["notes"])


def test_workers_that_bring_nothing_are_named(comporta: Comporta) -> None:
    save_figures(measured_here(workers=2, new_per_s=900.0, new_one_worker_per_s=1000.0))
    notes = data_of(comporta, "--instances", "10")["notes"]
    assert any("2 workers took in no more than one did" in note for note in notes)


def test_figures_are_private_and_replaced_as_a_whole() -> None:
    path = save_figures(measured_here())
    again = measured_here(sustained_per_s=5.0)
    assert save_figures(again) == path == bench_file()
    assert saved_figures() == again
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_relative_state_home_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", "/home/ana")
    assert str(bench_file()) == "/home/ana/.local/state/comporta/bench.json"


def test_a_file_that_holds_something_else_is_named(comporta: Comporta) -> None:
    path = save_figures(measured_here())
    path.write_bytes(b"{}")
    with pytest.raises(ConfigError, match="comporta bench --save"):
        saved_figures()
    ran = comporta("plan")
    assert ran.code == 6
    assert str(path) in ran.err
