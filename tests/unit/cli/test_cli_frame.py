"""What holds for every command: exit codes, errors, languages, times."""

import contextlib
import datetime as dt
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from comporta.cli import language, screen
from comporta.cli.exits import Exit, meanings
from comporta.cli.moments import since_ms
from comporta.errors import (
    ComportaError,
    ConfigError,
    ConflictError,
    FencedError,
    FleetError,
    NotFoundError,
    StoreUnavailableError,
)

NOW_MS = 1_795_500_000_000


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("gone"), Exit.NOT_FOUND),
        (ConflictError("changed"), Exit.CONFLICT),
        (ConfigError("wrong"), Exit.CONFIG),
        (FleetError("wrong", "fleet.toml", 3, "Did you mean x?"), Exit.CONFIG),
        (StoreUnavailableError("disk full"), Exit.STORE),
        (FencedError("not mine", 7), Exit.STORE),
        (ComportaError("other"), Exit.ERROR),
        (TimeoutError(), Exit.STORE),
        (OSError(28, "No space left on device", "data"), Exit.ERROR),
        (ExceptionGroup("in tasks", [StoreUnavailableError("disk full")]), Exit.STORE),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_each_foreseen_error_has_its_exit_code_and_no_traceback(
    comporta: Any, stores: Any, error: BaseException, code: Exit
) -> None:
    stores.ledger.failure = error
    ran = comporta("events")
    assert ran.code == code
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert ran.err.startswith("Error: ") or (code == Exit.INTERRUPTED and ran.err == "")


def test_an_error_says_file_line_and_what_to_do(comporta: Any, stores: Any) -> None:
    stores.ledger.failure = FleetError("No such thing.", "fleet.toml", 3, "Did you mean x?")
    assert comporta("events").err == "Error: fleet.toml:3: No such thing. Did you mean x?\n"


def test_with_json_an_error_is_a_problem_object_on_standard_error(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.failure = StoreUnavailableError("The disk is full.")
    ran = comporta("events", "--json")
    assert ran.out == ""
    assert msgspec.json.decode(ran.err) == {
        "type": "/problems/store-unavailable",
        "detail": "The disk is full.",
        "exit_code": 5,
    }


def test_a_defect_is_one_line_and_a_private_report_with_the_traceback(
    comporta: Any, stores: Any, tmp_path: Path
) -> None:
    stores.ledger.failure = ZeroDivisionError("deep inside")
    ran = comporta("events", "--type", "hush")
    (report,) = (tmp_path / "reports").iterdir()
    assert ran.code == Exit.BUG
    assert len(ran.err.splitlines()) == 1
    assert str(report) in ran.err
    assert "deep inside" in report.read_text()
    assert "hush" not in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def test_reports_of_defects_are_bounded(comporta: Any, stores: Any, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    for number in range(40):
        (reports / f"20200101T0000{number:02}-1.txt").write_text("old")
    stores.ledger.failure = ZeroDivisionError()
    comporta("events")
    assert len(list(reports.iterdir())) == 20


def test_a_defect_is_reported_even_without_a_data_folder(
    comporta: Any, stores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.setenv("COMPORTA_DATA", str(tmp_path / "missing"))
    stores.ledger.failure = ZeroDivisionError()
    assert comporta("events").code == Exit.BUG
    assert len(list(elsewhere.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evnts"], "Did you mean 'events'"),
        (["events", "--limt", "3"], "Did you mean --limit?"),
        (["event", "show"], "EVT is missing."),
        (["events", "--limit", "many"], "--limit"),
        (["events", "--since", "yesterday"], "neither a span"),
    ],
)
def test_a_command_line_that_cannot_be_understood_ends_with_two_and_says_what_to_change(
    comporta: Any, arguments: list[str], words: str
) -> None:
    ran = comporta(*arguments)
    assert ran.code == Exit.USAGE
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_a_wrong_setting_is_a_config_error(comporta: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPORTA_PORT", "many")
    assert comporta("events").code == Exit.CONFIG


def test_help_lists_every_exit_code(comporta: Any) -> None:
    out = comporta("--help").out
    assert all(f"{code.value}  {meanings()[code]}" in out for code in Exit)


@pytest.mark.parametrize("arguments", [["--json"], ["--lang", "pt-BR"], ["-h"]])
def test_every_command_takes_the_common_options(comporta: Any, arguments: list[str]) -> None:
    assert comporta("version", *arguments).code == 0


@pytest.mark.parametrize(
    ("arguments", "lang"),
    [
        (["--lang", "pt-BR", "events"], "pt-BR"),
        (["events", "--lang=pt"], "pt"),
        (["events", "--", "--lang", "pt"], ""),
        (["events", "--lang"], ""),
    ],
)
def test_the_language_is_asked_for_anywhere_on_the_line(arguments: list[str], lang: str) -> None:
    assert language.asked_for(arguments) == lang


def test_without_an_option_the_language_is_that_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANGUAGE", os.environ.get("LANGUAGE", ""))
    monkeypatch.setenv("COMPORTA_LANG", "pt_BR")
    language.settle([])
    assert screen.in_words(value=True) == "sim"


@given(
    count=st.integers(0, 10_000),
    unit=st.sampled_from([("s", 1), ("m", 60), ("min", 60), ("h", 3600), ("d", 86_400)]),
)
def test_a_span_means_so_long_ago(count: int, unit: tuple[str, int]) -> None:
    assert since_ms(f"{count}{unit[0]}", NOW_MS) == NOW_MS - count * unit[1] * 1000


@given(st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)))  # noqa: DTZ001
def test_an_iso_time_means_itself(moment: dt.datetime) -> None:
    assert since_ms(moment.isoformat(), NOW_MS) == int(moment.timestamp() * 1000)


@given(st.text())
def test_a_text_is_a_time_or_a_usage_error_and_nothing_else(text: str) -> None:
    with contextlib.suppress(typer.BadParameter):
        assert isinstance(since_ms(text, NOW_MS), int)


@given(st.text())
def test_what_is_shown_never_holds_a_control_character(text: str) -> None:
    shown = screen.in_words(text)
    assert len(shown) == len(text)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)
