"""The files for Prometheus, Alertmanager and Grafana, read for tests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "deploy/prometheus"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "comporta.dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}


def rules(file: str) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((FOLDER / file).read_text())["groups"]:
        yield from group["rules"]


RECORDS = {rule["record"]: rule["expr"] for rule in rules("comporta.recording.yml")}
ALERTS = {rule["alert"]: rule for rule in rules("comporta.alerts.yml")}
