"""`comporta alerts` lists, `alert ack` acknowledges, and what is not there is said."""

from pathlib import Path
from typing import Any

import pytest

from comporta import i18n


def test_open_alerts_are_listed_with_what_to_do(comporta: Any) -> None:
    found = comporta("alerts", "--json").data
    assert [one["name"] for one in found] == ["breaker:crm"]
    assert found[0]["text"].startswith("Everything fails at crm since 2026-11-")
    assert "HTTP 503" in found[0]["text"]
    everything = comporta("alerts", "--all", "--json").data
    assert [one["name"] for one in everything] == ["breaker:crm", "dead"]
    assert "OVER" not in comporta("alerts").out


def test_they_are_listed_in_portuguese(comporta: Any) -> None:
    i18n.use("pt_BR")
    assert "Tudo falha em crm desde" in comporta("alerts").out


def test_one_is_acknowledged_and_says_by_whom(comporta: Any) -> None:
    assert comporta("alert", "ack", "breaker:crm").code == 0
    shown = comporta("alerts", "--json").data[0]
    assert shown["by"].startswith("cli:")
    assert shown["acknowledged"] is not None


@pytest.mark.parametrize("name", ["breaker:other", "dead", ""])
def test_what_is_not_open_cannot_be_acknowledged(comporta: Any, name: str) -> None:
    ran = comporta("alert", "ack", name)
    assert ran.code != 0
    assert "comporta alerts" in ran.err


def test_a_notifier_that_is_not_in_the_file_is_said_with_those_that_are(
    comporta: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text('[[notifier]]\nname = "ops"\nkind = "slack"\nurl = "http://127.0.0.1:1/x"\n')
    monkeypatch.setenv("COMPORTA_ALERTS", str(file))
    assert "There is: ops." in comporta("alert", "test", "pos").err
    ran = comporta("alert", "test", "ops")
    assert ran.code != 0
    assert "cannot connect" in ran.err


def test_a_file_that_is_wrong_is_said_with_its_line(
    comporta: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text("[rules]\nlag_events = 'many'\n")
    monkeypatch.setenv("COMPORTA_ALERTS", str(file))
    assert f"{file}:2: rules.lag_events is wrong" in comporta("alerts").err
