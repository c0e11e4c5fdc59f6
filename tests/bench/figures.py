"""What is measured, as data, and how it compares with what the project aims at. No I/O."""

from statistics import median

import msgspec

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


class Aim(msgspec.Struct, frozen=True):
    """An aim and what came of it."""

    what: str
    wanted: str
    got: str
    met: bool


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
        *_end_to_end_aims(results),
        *_ledger_aims(results),
    ]


def _ratio(what: str, part: float, whole: float, wanted: float) -> Aim:
    got = part / whole if whole else 0.0
    return Aim(what, f"≥ {wanted:g} ×", f"{got:.2f} ×", got >= wanted)


def _below(what: str, got: float, wanted: float) -> Aim:
    return Aim(what, f"< {wanted:g} ms", f"{got:.1f} ms", 0 < got < wanted)


def _ingest_aims(results: Results) -> list[Aim]:
    rows = {(row.server, row.connections): row for row in results.ingest}
    if not rows:
        return []
    kept, new = rows["comporta", KEPT], rows["comporta", NEW]
    return [
        _ratio("rate of the empty handler, kept-alive", kept.per_s, rows["empty", KEPT].per_s, 0.5),
        _ratio("rate of the empty handler, new", new.per_s, rows["empty", NEW].per_s, 0.75),
        _ratio("FastAPI with a commit, kept-alive", kept.per_s, rows["sqlite", KEPT].per_s, 6),
        _below("p99 at saturation, kept-alive", kept.p99_ms, 25),
    ]


def _rate_aims(results: Results) -> list[Aim]:
    return [
        _below(f"p99 at {row.rate:,.0f}/s", row.p99_ms, 10)
        for row in results.rates
        if row.server == "comporta"
    ]


def _end_to_end_aims(results: Results) -> list[Aim]:
    found = []
    for row in results.end_to_end:
        clean = row.lost == row.duplicates == row.disorder == 0
        name = f"end to end, {row.workers} worker{'s' if row.workers > 1 else ''}"
        got = f"{row.lost} / {row.duplicates} / {row.disorder}"
        found.append(Aim(f"{name}: lost / repeated / disordered", "0 / 0 / 0", got, clean))
        if row.rate:
            enough = row.delivered_per_s >= row.rate * 0.95  # the tail of the last lag counts too
            rate = f"{row.delivered_per_s:,.0f}/s"
            found.append(Aim(f"{name}: sustained", f"{row.rate:,.0f}/s", rate, enough))
            found.append(_below(f"{name}: delivery lag p99", row.lag_p99_ms, 1000))
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
            growth(row, results.ledger[0]) <= GROWTH_MAX,
        )
        for row in results.ledger[1:]
    ]
