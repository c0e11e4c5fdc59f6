"""The access line: which calls get one, and how many a second."""

import pytest
from structlog.testing import capture_logs

from comporta.telemetry.access import AccessLog
from comporta.telemetry.budget import LINES_MAX, Budget


@pytest.mark.parametrize(("sample", "expected"), [(0, 0), (1, 10), (3, 3), (10, 1), (11, 0)])
def test_one_in_so_many_accepted_calls_is_due(sample: int, expected: int) -> None:
    access = AccessLog(sample)
    assert sum(access.due() for _ in range(10)) == expected


def test_a_line_has_the_facts_that_are_known_and_no_empty_ones() -> None:
    with capture_logs() as lines:
        AccessLog(1).accepted(0.0, chatwoot="loja-sp", event_type="", body_bytes=12)
    (line,) = lines
    assert line.pop("duration_ms") > 0
    assert line == {
        "event": "request.answered",
        "log_level": "info",
        "status": 200,
        "chatwoot": "loja-sp",
        "body_bytes": 12,
    }


def test_refusals_beyond_the_budget_are_counted_in_the_next_line_and_not_written() -> None:
    now_s = 100.0
    access = AccessLog(0, Budget(lambda: now_s))
    with capture_logs() as lines:
        for _ in range(LINES_MAX + 7):
            access.refused(404, 0.0, reason="unknown-token")
        assert len(lines) == LINES_MAX
        assert all("left_out" not in line for line in lines)
        now_s = 101.0
        access.refused(404, 0.0)
        access.refused(404, 0.0)
    assert lines[LINES_MAX]["left_out"] == 7
    assert "left_out" not in lines[LINES_MAX + 1]
