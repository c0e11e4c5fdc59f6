"""What is measured of delivery, as data, and how it compares with what is aimed at. No I/O."""

from statistics import harmonic_mean

import msgspec
from tests.bench.aim import Aim, at_least, at_most, none_of

FAULTS = "lost / repeated / disordered"
SHARE_OF_CLIENT = 0.5
LAG_GROWTH_MAX = 2.0
"""The p99 of one instance's lag beside very many open conversations, as a multiple of it alone."""


class ClientRow(msgspec.Struct, frozen=True):
    """The HTTP client alone. `cpu_us`: CPU microseconds a call, of its process."""

    calls: int
    failed: int
    per_s: float
    cpu_us: float


def both(first: ClientRow, second: ClientRow) -> ClientRow:
    """Two measurements of as many calls each, as one: the rate over the time of both."""
    return ClientRow(
        first.calls + second.calls,
        first.failed + second.failed,
        harmonic_mean((first.per_s, second.per_s)),
        (first.cpu_us + second.cpu_us) / 2,
    )


class ThroughputRow(msgspec.Struct, frozen=True):
    """A stock in the log, delivered; `client`: just before and just after, as many calls each."""

    instances: int
    events: int
    client: ClientRow
    per_s: float
    """From the first delivery to the last, taking over included."""
    cpu_us: float
    """CPU microseconds a delivery, of the dispatch process: taking over, delivering, recording."""
    lost: int
    duplicates: int
    disorder: int
    memory_mb: float
    """Of the dispatch process, at the end."""


class OpenRow(msgspec.Struct, frozen=True):
    """One instance's lag before and while very many conversations wait for another destination."""

    conversations: int
    rate: float
    """Events a second of the one instance."""
    before_p50_ms: float
    before_p99_ms: float
    beside_p50_ms: float
    beside_p99_ms: float
    live_lost: int
    """Of the instance's events, both times."""
    taken_over_per_s: float
    """How fast the stock went from the log into the ledger."""
    released_per_s: float
    """How fast the stock was delivered once its destination was resumed."""
    lost: int
    duplicates: int
    before_mb: float
    """Of the dispatch process: without them, with them, and when they are delivered."""
    beside_mb: float
    after_mb: float


class DeliveryResults(msgspec.Struct, frozen=True):
    """Everything that one run has measured of delivery."""

    throughput: tuple[ThroughputRow, ...] = ()
    open: tuple[OpenRow, ...] = ()


def delivery_aims(results: DeliveryResults) -> list[Aim]:
    """The aims that these results can tell something about."""
    found = []
    for row in results.throughput:
        name = f"delivery, {row.instances:,} instance{'s' if row.instances > 1 else ''}"
        found += [
            at_least(f"{name}: rate of the client", row.per_s, row.client.per_s, SHARE_OF_CLIENT),
            none_of(name, FAULTS, row.lost, row.duplicates, row.disorder),
        ]
    for one in results.open:
        name = f"{one.conversations:,} open conversations"
        lags = one.beside_p99_ms, one.before_p99_ms
        found += [
            at_most(f"{name}: another's lag p99", *lags, LAG_GROWTH_MAX),
            none_of(name, "lost / repeated / lost beside", one.lost, one.duplicates, one.live_lost),
        ]
    return found
