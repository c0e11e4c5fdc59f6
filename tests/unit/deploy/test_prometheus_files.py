"""The files for Prometheus, Alertmanager and Grafana: whole, and taken by the programs."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.docs.pages import DOCS, anchors
from tests.support.servers.program import required
from tests.support.servers.prometheus import quickened
from tests.unit.deploy.prometheus_files import ALERTS, DASHBOARD, FOLDER, PANELS, VARIABLES

LANGUAGES = {"": "runbooks.md", "_pt_br": "runbooks.pt-BR.md"}


def judged(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# The programs


def test_prometheus_takes_the_rules_and_the_example() -> None:
    promtool = required("promtool", "prometheus")
    judged(promtool, "check", "rules", *map(str, sorted(FOLDER.glob("comporta.*.yml"))))
    judged(promtool, "check", "config", str(FOLDER / "prometheus.example.yml"))


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "tests").glob("*.yml")), ids=lambda path: path.stem
)
def test_alerts_fire_and_are_over_as_their_tests_say(path: Path) -> None:
    judged(required("promtool", "prometheus"), "test", "rules", str(path))


def test_alertmanager_takes_the_example() -> None:
    amtool = required("amtool", "prometheus-alertmanager")
    judged(amtool, "check-config", str(FOLDER / "alertmanager.example.yml"))


@pytest.mark.parametrize("file", ["comporta.recording.yml", "comporta.alerts.yml"])
def test_the_quicker_time_of_other_tests_leaves_no_length_as_it_is(file: str) -> None:
    text = (FOLDER / file).read_text()
    length = re.compile(r"\b\d+[mhdw]\b")
    assert length.findall(text)
    assert not length.findall(quickened(text))


def test_every_alert_is_tested_to_fire_and_not_to() -> None:
    seen: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for path in (FOLDER / "tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for one in test["promql_expr_test"]:
                if found := re.search(r'alertname="(\w+)"', one["expr"]):
                    seen[found[1]].add(bool(one["exp_samples"]))
    assert {name for name, ways in seen.items() if len(ways) < 2} == set()


# What an alert has


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_severity_both_languages_and_a_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert name.startswith("Comporta")
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    texts = rule["annotations"]
    assert set(texts) == {
        f"{what}{language}"
        for what in ("summary", "description", "runbook_url")
        for language in LANGUAGES
    }
    assert len(set(texts.values())) == len(texts), "translated"
    for language, page in LANGUAGES.items():
        path, _, anchor = texts[f"runbook_url{language}"].partition("#")
        assert path == f"docs/{page}"
        assert anchor in anchors(DOCS / page)
        assert name.lower().startswith(anchor)
        assert len(texts[f"summary{language}"]) < 90
        assert texts[f"summary{language}"].count("{{") == texts["summary"].count("{{")


def test_the_runbooks_have_nothing_else() -> None:
    linked = {rule["annotations"]["runbook_url"].partition("#")[2] for rule in ALERTS.values()}
    for page in LANGUAGES.values():
        assert {one for one in anchors(DOCS / page) if one.startswith("comporta")} == linked


def test_what_alertmanager_keeps_back_are_alerts_that_exist() -> None:
    example = yaml.safe_load((FOLDER / "alertmanager.example.yml").read_text())
    for rule in example["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            operator, pattern = re.fullmatch(r'alertname(=~?)"(.+)"', matcher).groups()  # type: ignore[union-attr]
            found = [name for name in ALERTS if re.fullmatch(pattern, name)]
            assert found, matcher
            assert operator == "=~" or found == [pattern]


# The dashboard


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert (DASHBOARD["title"], DASHBOARD["uid"]) == ("Comporta", "comporta")
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert VARIABLES["datasource"]["query"] == "prometheus"
    for panel in PANELS:
        assert panel["type"] in {"timeseries", "stat", "table"}
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {"title", "gridPos", "options"} <= set(panel)
        assert len({one["refId"] for one in panel["targets"]}) == len(panel["targets"]) > 0
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= set(VARIABLES)


def test_no_panel_lies_on_another_or_beyond_the_edge() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_promtool_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """As a rule's: with a value in the place of each variable."""
    rules = [
        {"record": f"panel_{number}", "expr": re.sub(r"\$\w+", "x", target["expr"])}
        for number, target in enumerate(one for panel in PANELS for one in panel["targets"])
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    judged(required("promtool", "prometheus"), "check", "rules", str(path))
