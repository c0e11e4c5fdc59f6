"""The numbers of `/metrics` read back: those of several servers as one, and what changed meanwhile.

Pure: it fetches nothing and knows no clock. What it does not know, of a gateway of another version,
it passes over.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from comporta.telemetry.metric_defs import METRICS, Kind, MetricDef
from comporta.telemetry.tally import LabelValues

Series = dict[LabelValues, list[float]]
"""Label values → one number; or, for a histogram, how many values fell into each bucket."""
Found = dict[str, Series]
"""Metric name → its series."""

_FAMILIES = {one.name.removesuffix("_total"): one for one in METRICS}


def parse(text: str) -> Found:
    """What a page of `/metrics` in Prometheus' text format says.

    Raises:
        ValueError: it is no such page.
    """
    found: Found = {}
    for family in text_string_to_metric_families(text):
        definition = _FAMILIES.get(family.name.removesuffix("_total"))
        if definition is not None and definition.kind is Kind.HISTOGRAM:
            found[definition.name] = _histogram(definition, family.samples)
        elif definition is not None:
            samples = [one for one in family.samples if one.name == definition.name]
            found[definition.name] = {_labels(definition, one): [one.value] for one in samples}
    return found


def merged(pages: Iterable[Found]) -> Found:
    """The pages of several servers as one, each metric as its definition says."""
    total: Found = {}
    for page in pages:
        for name, series in page.items():
            into = total.setdefault(name, {})
            add = sum if _by_name(name).over_servers == "sum" else max
            for labels, values in series.items():
                have = into.get(labels)
                into[labels] = list(map(add, zip(have, values, strict=True))) if have else values
    return total


def rates(before: Found, now: Found, over_s: float) -> Found:
    """How fast counters and histograms rose between two pages of one server, a second.

    What was counted less before is a server that began anew: then all that it has is new.
    """
    risen: Found = {}
    for name, series in now.items():
        if _by_name(name).kind in {Kind.COUNTER, Kind.HISTOGRAM}:
            old = before.get(name, {})
            risen[name] = {
                labels: [value / over_s for value in _risen(old.get(labels), values)]
                for labels, values in series.items()
            }
    return risen


def quantile(definition: MetricDef, counts: Sequence[float], share: float) -> float | None:
    """The value that `share` (0 to 1) did not exceed, as PromQL estimates it; None: there is none.

    Beyond the last bound it is that bound: what is slower is not told apart.
    """
    wanted, seen = sum(counts) * share, 0.0
    if not wanted:
        return None
    edges = pairwise((0.0, *definition.buckets))
    for (low, high), count in zip(edges, counts, strict=False):
        if count and seen + count >= wanted:
            return low + (high - low) * (wanted - seen) / count
        seen += count
    return definition.buckets[-1]


def total(series: Mapping[LabelValues, Sequence[float]], at: int, value: str) -> list[float]:
    """The sum of all series whose label number `at` has this value, number by number."""
    fitting = [values for labels, values in series.items() if labels[at] == value]
    return [sum(column) for column in zip(*fitting, strict=True)]


def _by_name(name: str) -> MetricDef:
    return _FAMILIES[name.removesuffix("_total")]


def _risen(old: list[float] | None, new: list[float]) -> list[float]:
    if old is None or any(one > other for one, other in zip(old, new, strict=True)):
        return new
    return [other - one for one, other in zip(old, new, strict=True)]


def _labels(definition: MetricDef, sample: Sample) -> LabelValues:
    return tuple(sample.labels.get(name, "") for name in definition.labels)


def _histogram(definition: MetricDef, samples: Iterable[Sample]) -> Series:
    rising: dict[LabelValues, list[float]] = {}
    for sample in samples:
        if sample.name == f"{definition.name}_bucket":
            rising.setdefault(_labels(definition, sample), [0.0]).append(sample.value)
    whole = len(definition.buckets) + 2  # the start, and beyond the last bound
    return {
        labels: [high - low for low, high in pairwise(values)]
        for labels, values in rising.items()
        if len(values) == whole  # else: of another version, with other buckets
    }
