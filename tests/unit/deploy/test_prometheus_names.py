"""Every metric and label that rules and dashboard name is one that the gateway has."""

import re

import pytest
from tests.unit.deploy.prometheus_files import ALERTS, PANELS, RECORDS, VARIABLES

from comporta.ingest import problems
from comporta.telemetry.metric_defs import METRICS, Kind

DEFINITIONS = {definition.name: definition for definition in METRICS}
TARGET_LABELS = {"job", "instance"}
"""Prometheus adds them to all that it reads."""
FOREIGN = re.compile(r"\b(up|ALERTS|probe_ssl_earliest_cert_expiry)\b")
_SERIES = re.compile(r"(?<![:\w$])(comporta_\w+)(?:\{([^}]*)\})?")
_RECORD = re.compile(r"[a-z_]+:\w+:\w+")
_GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_SUMMED = re.compile(r"\bsum(?: by \([^)]*\))? ?\((comporta_\w+)")
_RATED = re.compile(r"\b(?:rate|increase)\((\w+)")


def expressions() -> dict[str, str]:
    """Where it stands → PromQL."""
    found = dict(RECORDS) | {name: rule["expr"] for name, rule in ALERTS.items()}
    for panel in PANELS:
        found |= {f"{panel['title']}/{one['refId']}": one["expr"] for one in panel["targets"]}
    queries = {name: one["query"] for name, one in VARIABLES.items() if one["type"] == "query"}
    return found | {name: one["query"] for name, one in queries.items()}


EXPRESSIONS = expressions()
everywhere = pytest.mark.parametrize("name", EXPRESSIONS)


def base(series: str) -> str:
    """The metric that a series belongs to: a histogram is asked for by its parts."""
    for part in ("_bucket", "_sum", "_count"):
        whole = DEFINITIONS.get(series.removesuffix(part))
        if series.endswith(part) and whole is not None and whole.kind is Kind.HISTOGRAM:
            return whole.name
    return series


def labels_of(series: str) -> set[str]:
    """The labels that a series has, those of its target aside."""
    extra = {"le"} if series.endswith("_bucket") else set()
    return set(DEFINITIONS[base(series)].labels) | extra


@everywhere
def test_every_metric_exists_and_has_the_labels_that_it_is_asked_by(name: str) -> None:
    for series, selector in _SERIES.findall(EXPRESSIONS[name]):
        assert base(series) in DEFINITIONS, series
        asked = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector))
        assert asked <= labels_of(series) | TARGET_LABELS, series
        histogram = DEFINITIONS[base(series)].kind is Kind.HISTOGRAM
        assert histogram == (base(series) != series), f"{series}: a histogram has three parts"


@everywhere
def test_what_is_grouped_or_joined_by_is_a_label_of_something_there(name: str) -> None:
    expression = EXPRESSIONS[name]
    known = {label for series, _ in _SERIES.findall(expression) for label in labels_of(series)}
    for record in _RECORD.findall(expression):
        known |= {label for part in _GROUPED.findall(RECORDS[record]) for label in part.split(", ")}
    for part in _GROUPED.findall(expression):
        assert set(part.split(", ")) <= known | TARGET_LABELS


@everywhere
def test_only_what_counts_is_asked_for_its_rate_and_a_recorded_name_is_recorded(name: str) -> None:
    expression = EXPRESSIONS[name]
    for series in _RATED.findall(expression):
        assert DEFINITIONS[base(series)].kind in {Kind.COUNTER, Kind.HISTOGRAM}, series
    assert set(_RECORD.findall(expression)) <= set(RECORDS)
    assert _SERIES.search(expression) or _RECORD.search(expression) or FOREIGN.search(expression)


def test_what_counts_as_lost_are_the_refusals_that_lose_events() -> None:
    """Their series are there from the start, since the first of them has to be seen as a rise."""
    (lost,) = {found[1] for found in re.finditer(r'status=~"([^"]+)"', "".join(RECORDS.values()))}
    known = [one for one in vars(problems).values() if isinstance(one, problems.Problem)]
    assert {one for one in known if re.fullmatch(lost, str(one.status))} == set(problems.LOSSES)


@everywhere
def test_what_all_servers_read_from_the_same_store_is_never_summed(name: str) -> None:
    for series in _SUMMED.findall(EXPRESSIONS[name]):
        assert DEFINITIONS[base(series)].over_servers == "sum", series
