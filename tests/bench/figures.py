"""What is measured, as data, and how it compares with what the project aims at. No I/O."""

from statistics import median

import msgspec
from tests.bench.aim import Aim, at_least, below, none_of
from tests.bench.delivery_figures import FAULTS, DeliveryResults, delivery_aims

KEPT, NEW = "kept-alive", "new"
GROWTH_MAX = 0.1


class Round(msgspec.Struct, frozen=True):
    """One short load on one server. `cpu_us`: CPU microseconds a request, all its processes."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


class IngestRow(msgspec.Struct, frozen=True):
    """Medians over the rounds of one server with one kind of connections; `errors` is a sum."""

    server: str
    connections: str
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


class RateRow(msgspec.Struct, frozen=True):
    """A load at a fixed rate on kept connections."""

    server: str
    rate: float
    per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


class EndToEndRow(msgspec.Struct, frozen=True):
    """Emulator → gateway → sink, all of it on this machine."""

    workers: int
    rate: float
    """Asked for; 0: as fast as the answers allow."""
    accepted: int
    delivered: int
    lost: int
    duplicates: int
    disorder: int
    accepted_per_s: float
    delivered_per_s: float
    """Until the last one was there."""
    ack_p99_ms: float
    lag_p99_ms: float
    memory_mb: float
    lag_p50_ms: float = 0.0
    chatwoots: int = 3
    dispatch_cpu_us: float = 0.0
    """CPU microseconds a delivery, of the dispatch processes."""


class LedgerRow(msgspec.Struct, frozen=True):
    """What an event costs the ledger in one state of it: CPU microseconds, and bytes of its WAL."""

    state: str
    """What was stored before, and what waited."""
    record_us: float
    settle_us: float
    wal_bytes: float

    @property
    def whole_us(self) -> float:
        """Of recording and settling one event, microseconds."""
        return self.record_us + self.settle_us


class Results(msgspec.Struct, frozen=True):
    """Everything that one run has measured."""

    ingest: tuple[IngestRow, ...] = ()
    rates: tuple[RateRow, ...] = ()
    end_to_end: tuple[EndToEndRow, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()
    lags: tuple[EndToEndRow, ...] = ()
    """The same with few and with many Chatwoots."""
    delivery: DeliveryResults = DeliveryResults()


def medians(server: str, connections: str, rounds: list[Round]) -> IngestRow:
    """The rounds of one server as one row."""
    return IngestRow(
        server,
        connections,
        median(one.per_s for one in rounds),
        median(one.p50_ms for one in rounds),
        median(one.p99_ms for one in rounds),
        median(one.cpu_us for one in rounds),
        sum(one.errors for one in rounds),
    )


def aims(results: Results) -> list[Aim]:
    """The aims that this run can tell something about."""
    return [
        *_ingest_aims(results),
        *_rate_aims(results),
        *_end_to_end_aims(results.end_to_end),
        *delivery_aims(results.delivery),
        *_end_to_end_aims(results.lags),
        *_ledger_aims(results),
    ]


def _ingest_aims(results: Results) -> list[Aim]:
    rows = {(row.server, row.connections): row for row in results.ingest}
    if not rows:
        return []
    kept, new = rows["comporta", KEPT], rows["comporta", NEW]
    return [
        at_least(
            "rate of the empty handler, kept-alive", kept.per_s, rows["empty", KEPT].per_s, 0.5
        ),
        at_least("rate of the empty handler, new", new.per_s, rows["empty", NEW].per_s, 0.75),
        at_least("FastAPI with a commit, kept-alive", kept.per_s, rows["sqlite", KEPT].per_s, 6),
        below("p99 at saturation, kept-alive", kept.p99_ms, 25),
    ]


def _rate_aims(results: Results) -> list[Aim]:
    return [
        below(f"p99 at {row.rate:,.0f}/s", row.p99_ms, 10)
        for row in results.rates
        if row.server == "comporta"
    ]


def _end_to_end_aims(rows: tuple[EndToEndRow, ...]) -> list[Aim]:
    found = []
    for row in rows:
        name = f"end to end, {_some(row.workers, 'worker')}, {_some(row.chatwoots, 'Chatwoot')}"
        found.append(none_of(name, FAULTS, row.lost, row.duplicates, row.disorder))
        if row.rate:
            enough = row.delivered_per_s >= row.rate * 0.95  # the tail of the last lag counts too
            rate = f"{row.delivered_per_s:,.0f}/s"
            found.append(Aim(f"{name}: sustained", f"{row.rate:,.0f}/s", rate, enough))
            found.append(below(f"{name}: delivery lag p99", row.lag_p99_ms, 1000))
    return found


def growth(row: LedgerRow, first: LedgerRow) -> float:
    """By how much of the first one's an event costs more, 0.1 for a tenth."""
    return row.whole_us / first.whole_us - 1


def _ledger_aims(results: Results) -> list[Aim]:
    return [
        Aim(
            f"ledger's cost an event, {row.state}",
            f"≤ +{GROWTH_MAX:.0%}",
            f"{growth(row, results.ledger[0]):+.0%}",
            growth(row, results.ledger[0]) <= GROWTH_MAX + 1e-9,
        )
        for row in results.ledger[1:]
    ]


def _some(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' if count > 1 else ''}"
