"""The file of alerts: read whole or refused with the line, secrets by reference, quiet hours."""

import datetime as dt
import re
from pathlib import Path

import pytest

from comporta.alerting.calendar import PlaceCalendar
from comporta.alerting.config import NOTIFIERS_MAX, load
from comporta.alerting.model import Severity
from comporta.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def written(folder: Path, text: str) -> Path:
    path = folder / "alerts.toml"
    path.write_text(text, encoding="utf-8")
    return path


def at(text: str) -> int:
    """A local time in São Paulo, which is three hours behind UTC, as Unix milliseconds."""
    zone = dt.timezone(dt.timedelta(hours=-3))
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def test_without_a_file_there_are_rules_and_nobody_to_tell() -> None:
    plan = load(None)
    assert plan.file.rules.failure_percent == 20
    assert plan.file.notifier == ()


def test_the_example_is_a_file_of_alerts_at_its_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (ROOT / "alerts.example.toml").read_text(encoding="utf-8")
    assert load(written(tmp_path, text)).file.rules == load(None).file.rules
    for name in (
        "HOOK",
        "HOOK_SECRET",
        "SLACK_URL",
        "BOT_TOKEN",
        "SMTP_PASSWORD",
        "CHATWOOT_TOKEN",
    ):
        monkeypatch.setenv(f"ALERTS_{name}", "https://example.org/x")
    uncommented = re.sub(r"(?m)^# (\[|[a-z_]+ = )", r"\1", text)
    whole = load(written(tmp_path, uncommented))
    assert [type(one).__name__ for one in whole.file.notifier] == [
        "Webhook",
        "Slack",
        "Telegram",
        "Email",
        "Chatwoot",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[notifier]]\nname = 'a'\nkind = 'slack'\n", "missing required field `url`"),
        ("[rules]\nlag_events = 'many'\n", r"alerts\.toml:2: rules\.lag_events is wrong"),
        ("[rules]\nlags = 3\n", "unknown field `lags`"),
        ("lang = 'pt'\n", r"alerts\.toml:1: lang is wrong"),
        ("timezone = 'America/Nowhere'\n", "no time zone"),
        ("holidays = 'XX'\n", "holidays of"),
        ("holidays = 'BR-XX'\n", "holidays of"),
        ("= 3\n", "cannot be used"),
        ("[[notifier]]\nname='a'\nkind='slack'\nurl='env:NOBODY_SET_THIS'\n", "is not set"),
        ("[[notifier]]\nname='a'\nkind='slack'\nurl='ftp://x'\n", "http://"),
        ("[[notifier]]\nname='a'\nkind='slack'\nurl='http://x'\n" * 2, "same name"),
        ("[quiet_hours]\nstart = '25:00'\n", r"alerts\.toml:2"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        load(written(tmp_path, text))


def test_there_are_no_more_notifiers_than_the_bound(tmp_path: Path) -> None:
    one = "[[notifier]]\nname='n{}'\nkind='slack'\nurl='http://x'\n"
    most = "".join(one.format(number) for number in range(NOTIFIERS_MAX))
    assert len(load(written(tmp_path, most)).file.notifier) == NOTIFIERS_MAX
    with pytest.raises(ConfigError):
        load(written(tmp_path, most + one.format("x")))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "alerts.toml")


def test_quiet_hours_go_over_midnight_in_local_time_for_what_is_not_urgent(
    tmp_path: Path,
) -> None:
    plan = load(written(tmp_path, "[quiet_hours]\nstart = '22:00'\nend = '07:00'\n"))
    quiet = [
        plan.quiet(Severity.WARNING, at(f"2026-11-24T{clock}"))
        for clock in ("21:59", "22:00", "00:00", "06:59", "07:00")
    ]
    assert quiet == [False, True, True, True, False]
    assert not plan.quiet(Severity.CRITICAL, at("2026-11-24T23:00"))
    day = load(written(tmp_path, "[quiet_hours]\nstart = '12:00'\nend = '13:00'\n"))
    assert day.quiet(Severity.WARNING, at("2026-11-24T12:59"))
    assert not day.quiet(Severity.WARNING, at("2026-11-24T13:00"))


def test_a_state_and_a_city_have_days_off_of_their_own() -> None:
    def off(place: str, day: str, *more: dt.date) -> bool:
        calendar = PlaceCalendar("America/Sao_Paulo", place, more)
        return calendar.day_off(at(f"{day}T12:00"))

    assert off("BR-SP", "2026-07-09")
    assert not off("BR", "2026-07-09")
    assert off("BR", "2026-02-17")  # Carnival
    assert off("BR", "2026-01-25", dt.date(2026, 1, 25))
    assert not off("", "2026-12-25")


def test_the_hour_of_the_week_follows_the_clock_of_the_place() -> None:
    berlin = PlaceCalendar("Europe/Berlin")
    summer = int(dt.datetime(2026, 7, 6, 7, tzinfo=dt.UTC).timestamp() * 1000)
    winter = int(dt.datetime(2026, 12, 7, 8, tzinfo=dt.UTC).timestamp() * 1000)
    assert berlin.hour_of_week(summer) == berlin.hour_of_week(winter) == 9
