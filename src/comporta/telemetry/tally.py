"""What the busy paths write to: plain numbers in memory, no locks, no files, no Prometheus.

Counts only rise and are never reset, so whoever publishes them only reads: it keeps what it has
published and adds the difference. Therefore one handle may be updated from one thread (the log's
writer, say) while another thread publishes. Two threads must not update the same handle.
"""

from bisect import bisect_left
from typing import Generic, TypeVar

from comporta.telemetry import metric_defs as defs

LabelValues = tuple[str, ...]


class Number:
    """One series of a counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Stamped(Number):
    """One series of a gauge of which the value set last counts, whichever process set it."""

    __slots__ = ("at_s",)

    def __init__(self) -> None:
        super().__init__()
        self.at_s: float = 0


class Buckets:
    """One series of a histogram: how many values fell into each bucket, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: int) -> None:
        self.counts = [0] * (bounds + 1)
        self.total = 0.0


Cell = TypeVar("Cell", Number, Stamped, Buckets)


class _Series(Generic[Cell]):
    """The cells of one metric by label values, with the limits of `metric_defs.LABELS`."""

    def __init__(self, definition: defs.MetricDef) -> None:
        self.definition = definition
        self._seen: tuple[set[str], ...] = tuple(set() for _ in definition.labels)
        self._cells: dict[LabelValues, Cell] = {}
        if not definition.labels:
            self._cells[()] = self._new()

    def _new(self) -> Cell:
        raise NotImplementedError

    def _open(self, labels: LabelValues) -> Cell:
        """The cell for labels not met before, or met too late to get a cell of their own."""
        names = self.definition.labels
        if len(labels) != len(names):
            raise ValueError(f"{self.definition.name} has the labels {names}, not {labels}")
        shown = tuple(map(self._bounded, names, labels, self._seen))
        cell = self._cells.get(shown)
        if cell is None:
            cell = self._cells[shown] = self._new()
        return cell

    @staticmethod
    def _bounded(name: str, value: str, seen: set[str]) -> str:
        if value not in seen:
            if len(seen) >= defs.LABELS[name]:
                return defs.OTHER
            seen.add(value)
        return value

    def cells(self) -> list[tuple[LabelValues, Cell]]:
        """All series, as a copy: another thread may open one meanwhile."""
        return list(self._cells.items())


class Count(_Series[Number]):
    """A counter."""

    def _new(self) -> Number:
        return Number()

    def add(self, labels: LabelValues = (), amount: int = 1) -> None:
        """Count `amount` more. `labels`: values in the order of the definition."""
        (self._cells.get(labels) or self._open(labels)).value += amount


class Spread(_Series[Buckets]):
    """A histogram."""

    def _new(self) -> Buckets:
        return Buckets(len(self.definition.buckets))

    def observe(self, value: float, labels: LabelValues = ()) -> None:
        """Count one value, in the unit of the metric's name."""
        cell = self._cells.get(labels) or self._open(labels)
        cell.counts[bisect_left(self.definition.buckets, value)] += 1
        cell.total += value


class Level(_Series[Number]):
    """A gauge: this process's share, which becomes one value with the others' by its `merge`."""

    def _new(self) -> Number:
        return Number()

    def set(self, value: float, labels: LabelValues = ()) -> None:
        """What it is now."""
        (self._cells.get(labels) or self._open(labels)).value = value


class Latest(_Series[Stamped]):
    """A gauge of which the value that was set last counts, of all processes."""

    def _new(self) -> Stamped:
        return Stamped()

    def set(self, value: float, at_s: float, labels: LabelValues = ()) -> None:
        """What it was found to be at `at_s`, Unix seconds."""
        cell = self._cells.get(labels) or self._open(labels)
        cell.value, cell.at_s = value, at_s


Handle = Count | Spread | Level | Latest


class Tally:
    """All handles of one process, one for each metric that is updated where things happen."""

    def __init__(self) -> None:
        self.events_accepted = Count(defs.EVENTS_ACCEPTED)
        self.accepted_bytes = Count(defs.ACCEPTED_BYTES)
        self.body_bytes = Spread(defs.BODY_BYTES)
        self.ack_seconds = Spread(defs.ACK_SECONDS)
        self.last_event = Level(defs.LAST_EVENT)
        self.clock_offset = Latest(defs.CLOCK_OFFSET)
        self.requests_refused = Count(defs.REQUESTS_REFUSED)
        self.log_commits = Count(defs.LOG_COMMITS)
        self.log_commit_entries = Spread(defs.LOG_COMMIT_ENTRIES)
        self.log_commit_seconds = Spread(defs.LOG_COMMIT_SECONDS)
        self.spool_events = Count(defs.SPOOL_EVENTS)
        self.queue_depth = Level(defs.QUEUE_DEPTH)
        self.queue_high_water = Level(defs.QUEUE_HIGH_WATER)
        self.events_recorded = Count(defs.EVENTS_RECORDED)
        self.events_duplicate = Count(defs.EVENTS_DUPLICATE)
        self.chatwoot_lag = Spread(defs.CHATWOOT_LAG)
        self.deliveries = Count(defs.DELIVERIES)
        self.attempt_seconds = Spread(defs.ATTEMPT_SECONDS)
        self.retries = Count(defs.RETRIES)
        self.dead_letters = Count(defs.DEAD_LETTERS)
        self.delivery_lag_seconds = Spread(defs.DELIVERY_LAG_SECONDS)
        self.lanes_waiting = Level(defs.LANES_WAITING)
        self.ledger_transaction_seconds = Spread(defs.LEDGER_TRANSACTION_SECONDS)
        self.handler_blocks = Count(defs.HANDLER_BLOCKS)
        self.notifications = Count(defs.NOTIFICATIONS)
        self.spans = Count(defs.SPANS)
        self.partitions_owned = Level(defs.PARTITIONS_OWNED)

    def handles(self) -> list[Handle]:
        """Every handle, for whoever publishes them."""
        return [value for value in vars(self).values() if isinstance(value, Handle)]
