import json
import re
from typing import Any

import msgspec
import pytest

from comporta.domain.growth import Growth
from comporta.ledger.port import LedgerTotals
from comporta.log.port import LogHealth
from comporta.state.port import WorkerRow
from comporta.telemetry import health

WELL = health.HealthInputs(
    version="0.1.0",
    now_ms=1_000_000,
    started_at_ms=940_000,
    log=LogHealth("sqlite"),
    ledger_engine="sqlite",
    state_engine="sqlite",
    partitions=16,
    pending_bytes=0,
    pending_bytes_max=1024,
    lag=3,
    totals=LedgerTotals(pending=2, scheduled=1, dead=4, oldest_open_at_ms=995_500),
    workers=(
        WorkerRow("w1", 11, 940_000, 999_500, 8, "comporta-1"),
        WorkerRow("w2", 12, 940_000, 999_500, 8),
    ),
)


def changed(**changes: Any) -> health.HealthInputs:
    return msgspec.structs.replace(WELL, **changes)


def test_a_gateway_that_is_well_says_so_with_its_numbers() -> None:
    report = health.report(WELL)
    assert (report.status, report.problems) == ("ok", ())
    assert report.uptime_s == 60
    assert report.oldest_pending_age_s == 4.5
    assert (report.lag, report.pending, report.scheduled, report.dead) == (3, 2, 1, 4)
    assert report.workers
    assert report.workers[0] == health.WorkerHealth("comporta-1", 11, 60, 0.5, 8)
    assert health.readiness(WELL) == health.Readiness(ready=True, reasons=())


def test_a_log_that_cannot_store_is_down_and_not_ready() -> None:
    inputs = changed(log=LogHealth("sqlite", "The disk is full."))
    assert health.report(inputs).status == "down"
    assert health.report(inputs).problems == ("The disk is full.",)
    assert health.readiness(inputs) == health.Readiness(ready=False, reasons=("The disk is full.",))


def test_a_log_that_spools_is_degraded_and_ready() -> None:
    inputs = changed(log=LogHealth("redis", degraded="Since noon events go to the spool."))
    assert health.report(inputs).status == "degraded"
    assert health.report(inputs).problems == ("Since noon events go to the spool.",)
    assert health.readiness(inputs).ready


def test_a_setting_that_endangers_events_is_told() -> None:
    inputs = changed(log=LogHealth("redis", warnings=("appendfsync is everysec.",)))
    report = health.report(inputs)
    assert (report.status, report.problems) == ("ok", ())
    assert report.warnings == ("appendfsync is everysec.",)
    assert "! appendfsync is everysec." in health.as_text(report)


@pytest.mark.parametrize("changes", [{"draining": True}, {"pending_bytes": 1024}])
def test_a_gateway_that_wants_no_more_events_is_not_ready(changes: dict[str, Any]) -> None:
    assert not health.readiness(changed(**changes)).ready
    assert health.report(changed(**changes)).status == "degraded"


def test_a_byte_below_the_high_water_mark_is_still_ready() -> None:
    assert health.readiness(changed(pending_bytes=1023)).ready


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"totals": None}, "ledger"),
        ({"workers": None}, "state"),
        ({"workers": ()}, "worker"),
        ({"workers": WELL.workers[:1] if WELL.workers else ()}, "8 partitions"),
        ({"lag": health.LAG_DEGRADED + 1}, "10001"),
        ({"paused_destinations": ("crm", "n8n")}, "crm, n8n"),
        ({"silent_notifiers": ("ops", "mail")}, "ops, mail"),
    ],
)
def test_what_somebody_should_look_at_degrades_but_does_not_stop_intake(
    changes: dict[str, Any], word: str
) -> None:
    report = health.report(changed(**changes))
    assert report.status == "degraded"
    assert word in " ".join(report.problems)
    assert health.readiness(changed(**changes)).ready


def test_a_lag_at_the_limit_is_still_well() -> None:
    assert health.report(changed(lag=health.LAG_DEGRADED)).status == "ok"


def test_what_could_not_be_found_out_is_null_for_machines_and_unknown_for_people() -> None:
    report = health.report(changed(totals=None, workers=None, lag=None))
    decoded = json.loads(health.as_json(report))
    assert decoded["lag"] is decoded["pending"] is decoded["workers"] is None
    assert decoded["oldest_pending_age_s"] is None
    assert health.as_text(report).count("unknown") == 8


def test_no_open_delivery_has_the_age_nought() -> None:
    totals = LedgerTotals(pending=0, scheduled=0, dead=0, oldest_open_at_ms=None)
    assert health.report(changed(totals=totals)).oldest_pending_age_s == 0


def test_the_text_begins_with_the_verdict_and_names_the_problems() -> None:
    inputs = changed(log=LogHealth("sqlite", "The disk is full."), lag=1_234_567)
    lines = health.as_text(health.report(inputs)).splitlines()
    assert lines[0] == "Comporta: Down."
    assert lines[1] == "  ! The disk is full."
    assert "1234567" in "".join(lines)


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/plain", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/plain;q=0.5, application/json", False),
        ("application/json;q=0.5, text/plain", True),
        ("text/plain; q=zero", False),
        ("TEXT/PLAIN", True),
        ("," * 5000, False),
    ],
)
def test_people_get_text_and_machines_get_json(accept: str, text: bool) -> None:
    assert health.wants_text(accept) is text


def test_growth_is_told_and_a_disk_that_lasts_less_than_a_week_is_a_worry() -> None:
    for days, worried in ((7.0, False), (6.9, True)):
        grown = changed(growth=Growth(5 << 20, 9 << 20, float(1 << 20), days))
        report = health.report(grown)
        assert (report.status == "degraded") is worried
        assert any("full in 6.9 days" in problem for problem in report.problems) is worried
        assert (report.stored_bytes, report.free_bytes) == (5 << 20, 9 << 20)
        assert (report.growth_bytes_a_day, report.days_left) == (1 << 20, days)
    text = health.as_text(health.report(grown))
    assert re.search(r"stored, MiB +5.0", text)
    assert re.search(r"growth a day, MiB +1.0", text)


def test_growth_that_is_not_known_yet_is_not_guessed() -> None:
    text = health.as_text(health.report(changed(growth=Growth(5 << 20, 9 << 20))))
    assert text.count("not enough yet") == 2
    shrinking = changed(growth=Growth(5 << 20, 9 << 20, -1.0))
    assert "no end in sight" in health.as_text(health.report(shrinking))
    assert health.report(shrinking).status == health.report(WELL).status
