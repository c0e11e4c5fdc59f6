"""`doctor`: each thing that can be wrong is found, and comes with something to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comporta.cli import checks
from comporta.domain.breaker import CLOSED, tripped
from comporta.domain.growth import Sample
from comporta.errors import SchemaTooNewError
from comporta.ledger.port import LedgerTotals
from comporta.log.port import LogHealth
from comporta.log.spool.flags import Flags
from comporta.state.port import WorkerRow

HOUR_MS = 3_600_000


def level_of(data: list[dict[str, str]], check: str) -> str:
    return next(one["level"] for one in data if one["check"] == check)


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, stores: Any) -> None:
    tmp_path.chmod(0o700)
    stores.state.alive = [WorkerRow("w1", 1, 0, 0, 16)]


def test_a_healthy_gateway_is_ok_everywhere_but_for_the_source_without_a_secret(
    comporta: Any,
) -> None:
    ran = comporta("doctor", "--json")
    levels = {one["check"]: one["level"] for one in ran.data}
    assert ran.code == 0
    assert {name for name, level in levels.items() if level != "ok"} == {"sources"}


def test_a_log_that_others_could_read_beside_a_ledger_that_is_a_file_is_warned_about(
    comporta: Any, stores: Any
) -> None:
    assert level_of(comporta("doctor", "--json").data, "engines") == "ok"
    stores.log.engine = "redis"
    found = next(one for one in comporta("doctor", "--json").data if one["check"] == "engines")
    assert found["level"] == "warn"
    assert "only one server" in found["todo"]
    stores.ledger.engine, stores.state.engine = "postgresql", "redis"
    stores.state.warnings = ("maxmemory-policy is allkeys-lru.",)
    ran = comporta("doctor", "--json").data
    assert level_of(ran, "engines") == "ok"
    assert level_of(ran, "state") == "warn"


def test_servers_that_share_the_stores_need_one_key_and_time_to_leave(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "servers" not in {one["check"] for one in comporta("doctor", "--json").data}
    stores.ledger.engine = stores.state.engine = "elsewhere"
    stores.state.alive = [WorkerRow(n, 1, 0, 0, 8, f"comporta-{n}") for n in ("1", "2")]
    found = {one["check"]: one for one in comporta("doctor", "--json").data}
    assert (found["key"]["level"], found["servers"]["level"]) == ("warn", "warn")
    assert found["servers"]["found"] == "comporta-1, comporta-2"
    assert "COMPORTA_LEAVE_S=6" in found["servers"]["todo"]
    monkeypatch.setenv("COMPORTA_LEAVE_S", "6")
    monkeypatch.setenv("COMPORTA_KEY", "A" * 43 + "=")
    levels = {one["check"]: one["level"] for one in comporta("doctor", "--json").data}
    assert levels["servers"] == "ok"
    assert "key" not in levels


def test_every_complaint_says_what_to_do(comporta: Any, stores: Any) -> None:
    stores.state.alive = []
    stores.ledger.dead = 3
    stores.log.error = "The disk is full."
    complaints = [one for one in comporta("doctor", "--json").data if one["level"] != "ok"]
    assert {one["check"] for one in complaints} == {"workers", "dead", "log", "sources"}
    assert all(one["todo"] for one in complaints)


def test_an_error_makes_the_exit_code_one_and_a_warning_does_not(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 3
    assert comporta("doctor").code == 0
    stores.log.error = "The disk is full."
    assert comporta("doctor").code == 1


def test_a_missing_data_folder_is_an_error_and_the_stores_are_left_alone(
    comporta: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMPORTA_DATA", str(tmp_path / "nowhere"))
    ran = comporta("doctor", "--json")
    assert ran.code == 1
    assert level_of(ran.data, "data") == "error"
    assert not any(one["check"] == "schema" for one in ran.data)


def test_a_wrong_setting_is_a_line_of_the_doctor(
    comporta: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPORTA_PORT", "many")
    ran = comporta("doctor", "--json")
    assert (ran.code, level_of(ran.data, "settings")) == (1, "error")


def test_an_alerts_file_that_cannot_be_used_is_an_error_and_those_told_are_named(
    comporta: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "alerts.toml"
    monkeypatch.setenv("COMPORTA_ALERTS", str(file))
    assert level_of(comporta("doctor", "--json").data, "alerts") == "error"
    file.write_text(
        '[[notifier]]\nname = "ops"\nkind = "slack"\nurl = "https://chat.example.org"\n'
    )
    found = {one["check"]: one for one in comporta("doctor", "--json").data}
    assert (found["alerts"]["level"], found["alerts"]["found"]) == ("ok", "Told: ops")


def test_a_store_that_cannot_be_opened_is_a_line_of_the_doctor(comporta: Any, stores: Any) -> None:
    stores.ledger.failure = SchemaTooNewError("A newer Comporta wrote it.")
    ran = comporta("doctor", "--json")
    assert (ran.code, level_of(ran.data, "stores")) == (1, "error")


def test_a_data_folder_that_everybody_can_read_is_warned_of(comporta: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert level_of(comporta("doctor", "--json").data, "data") == "warn"


def test_a_destination_at_which_everything_fails_is_named_with_the_reason(
    comporta: Any, stores: Any
) -> None:
    (crm,) = (one for one in stores.ledger.now_fleet.destinations if one.name == "crm")
    stores.state.open = {crm.id: tripped(CLOSED, 1_795_500_000_000, "HTTP 503")}
    assert "Everything fails at crm: HTTP 503" in comporta("doctor").out
    shown = comporta("destination", "show", "crm", "--json").data
    assert shown["breaker"] == "open"
    assert shown["breaker_reason"] == "HTTP 503"
    assert shown["breaker_until"] > shown["breaker_since"]


def test_a_paused_destination_is_named_with_the_way_back(comporta: Any, stores: Any) -> None:
    fleet = stores.ledger.now_fleet
    gone = msgspec.structs.replace(fleet.destinations[0], paused="answered 410 Gone")
    stores.ledger.now_fleet = msgspec.structs.replace(fleet, destinations=(gone,))
    out = comporta("doctor").out
    assert "crm is paused: answered 410 Gone" in out
    assert "comporta destination resume crm" in out


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (lambda: next(checks.log(LogHealth("redis"), checks.LAG_WARN)), "ok"),
        (lambda: next(checks.log(LogHealth("redis"), checks.LAG_WARN + 1)), "warn"),
        (lambda: next(checks.log(LogHealth("redis"), None)), "warn"),
        (lambda: next(checks.log(LogHealth("redis", degraded="Since …"), 0)), "warn"),
        (lambda: next(checks.log(LogHealth("redis", warnings=("appendfsync …",)), 0)), "warn"),
        (lambda: next(checks.log(LogHealth("redis", "The spool is full."), 0)), "error"),
        (lambda: checks.open_deliveries(LedgerTotals(1, 0, 0, 0), HOUR_MS), "ok"),
        (lambda: checks.open_deliveries(LedgerTotals(1, 0, 0, 0), HOUR_MS + 1), "warn"),
        (lambda: checks.clock(0, None), "error"),
        (lambda: checks.clock(1_795_500_000, 1_795_500_060), "ok"),
        (lambda: checks.clock(1_795_500_000, 1_795_500_061), "warn"),
    ],
)
def test_each_check_turns_exactly_at_its_limit(
    finding: Callable[[], checks.Finding], level: str
) -> None:
    assert finding().level == level


@pytest.mark.parametrize(
    ("free_days", "level", "code"), [(7.1, "ok", 0), (6.9, "warn", 0), (0.9, "error", 1)]
)
def test_a_disk_that_will_be_full_soon_is_told_before_it_is(
    comporta: Any, stores: Any, free_days: float, level: str, code: int
) -> None:
    grown = 1024**3
    stores.ledger.keeping.found = [
        Sample(0, 0, 9 * grown),
        Sample(24 * HOUR_MS, grown, int(free_days * grown)),
    ]
    ran = comporta("doctor", "--json")
    assert (level_of(ran.data, "growth"), ran.code) == (level, code)
    (found,) = (one["found"] for one in ran.data if one["check"] == "growth")
    assert "1024 MiB more a day" in found
    assert f"{free_days} days" in found


def test_of_a_server_elsewhere_the_growth_is_told_and_no_end_of_a_disk_that_nobody_knows(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.keeping.found = [Sample(0, 0, None), Sample(24 * HOUR_MS, 1024**3, None)]
    ran = comporta("doctor", "--json")
    assert level_of(ran.data, "growth") == "ok"
    (found,) = (one["found"] for one in ran.data if one["check"] == "growth")
    assert found == "1.0 GiB stored, 1024 MiB more a day, on a server whose disk is unknown"


def test_before_an_hour_has_passed_the_growth_is_not_known(comporta: Any, stores: Any) -> None:
    stores.ledger.keeping.found = [Sample(0, 0, 1), Sample(HOUR_MS - 1, 10**9, 1)]
    ran = comporta("doctor", "--json")
    assert level_of(ran.data, "growth") == "ok"
    assert "not enough yet" in comporta("doctor").out


def test_a_ledger_that_cannot_shrink_is_told(comporta: Any, stores: Any) -> None:
    stores.ledger.keeping.shrinks = False
    assert level_of(comporta("doctor", "--json").data, "space") == "warn"


def test_what_waits_in_the_spool_is_told_where_there_is_one(comporta: Any, tmp_path: Path) -> None:
    assert "spool" not in {one["check"] for one in comporta("doctor", "--json").data}
    flags = Flags(tmp_path / "spool.flags", 16)
    flags.open()
    assert level_of(comporta("doctor", "--json").data, "spool") == "ok"
    flags.count_spooled(3)
    ran = comporta("doctor", "--json")
    assert level_of(ran.data, "spool") == "warn"
    assert "3 events wait" in next(one["found"] for one in ran.data if one["check"] == "spool")
    flags.close()
