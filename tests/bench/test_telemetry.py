"""The bench of what telemetry costs: it measures, and it judges rightly."""

import json
import os
import subprocess
import sys

import pytest
from tests.bench.servers import ROOT
from tests.bench.telemetry import COST_MAX, TelemetryRow, aims


def test_a_quick_run_measures_both_kinds_of_connections() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--telemetry", "--quick", "--json"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["telemetry"]
    assert [row["connections"] for row in rows] == ["kept-alive", "new"]
    assert all(row["with_us"] > 0 and row["without_us"] > 0 for row in rows)


@pytest.mark.parametrize(("ratio", "met"), [(1.0, True), (COST_MAX, True), (1.06, False)])
def test_a_twentieth_more_is_the_most(ratio: float, met: bool) -> None:
    (aim,) = aims((TelemetryRow("new", 100.0 * ratio, 100.0, ratio),))
    assert aim.met is met
