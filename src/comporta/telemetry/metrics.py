"""Publishes the tally to Prometheus: this worker's numbers, the other workers', and the stores'.

The tally is read every `FLUSH_S` or so for the other workers to see, and at once when somebody
scrapes: a scrape is exact for the worker that answers it, and as much older for the rest.
Nothing on the path of an event calls this module.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import accumulate
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from comporta.errors import StoreError
from comporta.telemetry.metric_defs import LABELS, METRICS, OTHER, Kind, Merge, MetricDef
from comporta.telemetry.shared import Numbers, SharedFolder, add, identity
from comporta.telemetry.tally import Buckets, LabelValues, Number, Stamped, Tally

METRICS_FOLDER = "metrics"
"""Within the data folder."""
FLUSH_S = 0.25
FLUSH_S_MAX = 5.0
PAUSE_PER_FLUSH = 50.0
"""The pause is this many times as long as the flush took: thousands of series cost 2 % at most."""
READINGS_DEADLINE_S = 2.0

Reading = float | Mapping[LabelValues, float]
"""A value; or, of a metric with labels, one for each of their values."""
Readings = Callable[[], Awaitable[Mapping[MetricDef, Reading]]]
"""Asks the stores, at scrape time, for the metrics of kind `READING`. May raise `StoreError`."""
Look = Callable[[], None]
"""Sets the gauges that are cheaper to look up than to keep; called on the event loop."""

_log = structlog.get_logger(__name__)
_MORTAL = frozenset(
    one.name for one in METRICS if one.kind is Kind.GAUGE and one.merge is Merge.SUM
)


async def no_readings() -> Mapping[MetricDef, Reading]:
    """For a process without stores."""
    return {}


def no_look() -> None:
    """For a process without such gauges."""


def prepare(folder: Path, server_pid: int) -> SharedFolder:
    """What this process shares with the others of its server.

    Args:
        folder: where servers on this machine keep their processes' numbers; need not exist.
        server_pid: of the process that all processes of the server belong to.
    """
    return SharedFolder(folder, identity(server_pid), identity(os.getpid()), _MORTAL)


class Metrics:
    """One worker's view of the whole server's numbers.

    Args:
        tally: what this process counts.
        shared: from `prepare`.
        readings: asked at every scrape.
        look: called before the tally is read.
    """

    def __init__(
        self,
        tally: Tally,
        shared: SharedFolder | None = None,
        readings: Readings = no_readings,
        look: Look = no_look,
    ) -> None:
        self._tally, self._shared, self._readings, self._look = tally, shared, readings, look
        self._published: Numbers = {}
        self._sharing = True

    async def run(self) -> None:
        """Publish until cancelled, and once more then: a task of the server's group."""
        if self._shared is None:
            return
        await asyncio.to_thread(self._try, self._shared.open)
        try:
            while True:
                began_s = time.monotonic()
                self._look()
                await asyncio.to_thread(self._try, self.flush)
                took_s = time.monotonic() - began_s
                await asyncio.sleep(min(max(FLUSH_S, took_s * PAUSE_PER_FLUSH), FLUSH_S_MAX))
        finally:
            self._try(self.flush)

    def flush(self) -> None:
        """Let the other workers see this one's numbers, if they have changed.

        Raises:
            OSError: the folder cannot be written.
        """
        numbers = snapshot(self._tally)
        if self._shared is not None and numbers != self._published:
            self._shared.publish(numbers)
            self._published = numbers

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text, and its media type: OpenMetrics' if `accept` asks for that.

        Args:
            accept: the header of whoever asks.
        """
        numbers = await self.numbers()
        return await asyncio.to_thread(_text, numbers, accept)

    async def numbers(self) -> Numbers:
        """All metrics of the whole server, readings included where the stores answer."""
        try:
            async with asyncio.timeout(READINGS_DEADLINE_S):
                readings = await self._readings()
        except (StoreError, TimeoutError) as error:
            _log.warning("readings.failed", error=str(error), error_type=type(error).__name__)
            readings = {}
        self._look()
        return await asyncio.to_thread(self._gather, readings)

    async def counted(self) -> Numbers:
        """What all processes of the server count, without asking any store."""
        return await asyncio.to_thread(self._gather, {})

    def _gather(self, readings: Mapping[MetricDef, Reading]) -> Numbers:
        numbers = snapshot(self._tally)
        self._try(lambda: add(numbers, self._shared.others() if self._shared else {}))
        for definition, value in readings.items():
            numbers[definition.name] = _bounded(definition, value)
        return numbers

    def _try(self, step: Callable[[], None]) -> None:
        """A disk that fails costs stale numbers, said once, and never the worker."""
        try:
            step()
        except OSError as error:
            if self._sharing:
                _log.warning("metrics.not_shared", error=str(error))
            self._sharing = False
        else:
            self._sharing = True


class _Fixed(Collector):
    """Hands over families that are already made."""

    def __init__(self, made: list[Metric]) -> None:
        self._made = made

    def collect(self) -> Iterable[Metric]:
        return self._made

    def describe(self) -> Iterable[Metric]:
        return ()


def snapshot(tally: Tally) -> Numbers:
    """The tally's present numbers."""
    return {
        handle.definition.name: [(labels, _values(cell)) for labels, cell in handle.cells()]
        for handle in tally.handles()
    }


def _values(cell: Number | Buckets) -> list[float]:
    match cell:
        case Buckets():
            return [*cell.counts, cell.total]
        case Stamped():
            return [cell.value, cell.at_s]
        case _:
            return [cell.value]


def _bounded(definition: MetricDef, value: Reading) -> list[tuple[LabelValues, list[float]]]:
    """The series of a reading within the limit of its label; of those beyond, the highest."""
    if not isinstance(value, Mapping):
        return [((), [value])]
    most = min((LABELS[name] for name in definition.labels), default=1)
    shown = sorted(value.items())
    kept = [(labels, [number]) for labels, number in shown[:most]]
    if shown[most:]:
        others = tuple(OTHER for _ in definition.labels)
        kept.append((others, [max(number for _, number in shown[most:])]))
    return kept


def _text(numbers: Numbers, accept: str) -> tuple[bytes, str]:
    registry = CollectorRegistry()
    registry.register(_Fixed(families(numbers)))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def families(numbers: Numbers) -> list[Metric]:
    """The numbers as prometheus-client's families, in the order of `METRICS`."""
    return [
        _family(definition, numbers[definition.name])
        for definition in METRICS
        if definition.name in numbers
    ]


def _family(definition: MetricDef, series: list[tuple[tuple[str, ...], list[float]]]) -> Metric:
    names = definition.labels
    if definition.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(definition.name, definition.help, labels=names)
        bounds = [*map(str, definition.buckets), "+Inf"]
        for labels, values in series:
            rising = accumulate(values[:-1])
            histogram.add_metric(labels, list(zip(bounds, rising, strict=True)), values[-1])
        return histogram
    make = CounterMetricFamily if definition.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(definition.name, definition.help, labels=names)
    for labels, values in series:
        family.add_metric(labels, values[0])
    return family
