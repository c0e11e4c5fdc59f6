import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.bench import stock
from tests.bench.delivery_figures import ClientRow, DeliveryResults, OpenRow, ThroughputRow, both
from tests.bench.figures import (
    KEPT,
    NEW,
    EndToEndRow,
    IngestRow,
    LedgerRow,
    RateRow,
    Results,
    Round,
    aims,
    medians,
)
from tests.bench.load import MARKER, bodies, templates
from tests.bench.stock import Stock

from comporta.testing.observed import look

ROOT = Path(__file__).parents[2]


def row(server: str, connections: str, per_s: float, p99_ms: float = 1.0) -> IngestRow:
    return IngestRow(server, connections, per_s, 1.0, p99_ms, 50.0, 0)


def ingest(comporta_kept: float, comporta_new: float, p99_ms: float) -> Results:
    rows = (
        row("empty", KEPT, 10_000),
        row("empty", NEW, 4_000),
        row("sqlite", KEPT, 800),
        row("comporta", KEPT, comporta_kept, p99_ms),
        row("comporta", NEW, comporta_new),
    )
    return Results(ingest=rows)


def quick(*options: str) -> Results:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--json", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.convert(json.loads(done.stdout)["results"], Results)


END_TO_END = EndToEndRow(1, 2000.0, 20_000, 20_000, 0, 0, 0, 2000.0, 1950.0, 5.0, 80.0, 70.0)


def test_aims_are_met_at_their_limit() -> None:
    assert [aim.met for aim in aims(ingest(5_000, 3_000, 24.9))] == [True] * 4


@pytest.mark.parametrize(
    ("results", "missed"),
    [
        (ingest(4_999, 3_000, 1), 0),
        (ingest(5_000, 2_999, 1), 1),
        (ingest(4_799, 3_000, 1), 2),
        (ingest(5_000, 3_000, 25), 3),
        (ingest(5_000, 3_000, 0), 3),  # nothing was answered at all
    ],
)
def test_an_aim_just_missed_is_reported_as_missed(results: Results, missed: int) -> None:
    assert not aims(results)[missed].met


def test_the_fixed_rate_counts_for_the_gateway_only() -> None:
    rates = (
        RateRow("empty", 1000.0, 1000.0, 1.0, 99.0, 0),
        RateRow("comporta", 1000.0, 1000.0, 1.0, 9.9, 0),
    )
    assert [aim.met for aim in aims(Results(rates=rates))] == [True]


@pytest.mark.parametrize("fault", ["lost", "duplicates", "disorder"])
def test_one_event_lost_repeated_or_disordered_misses_the_aim(fault: str) -> None:
    assert all(aim.met for aim in aims(Results(end_to_end=(END_TO_END,))))
    spoilt = msgspec.structs.replace(END_TO_END, **{fault: 1})
    assert not aims(Results(end_to_end=(spoilt,)))[0].met


CLIENT = ClientRow(1_000, 0, 2_000.0, 120.0)
STOCK = ThroughputRow(100, 1_000, CLIENT, 1_000.0, 240.0, 0, 0, 0, 80.0)
OPEN = OpenRow(1_000, 200.0, 5.0, 20.0, 5.0, 40.0, 0, 3_000.0, 1_000.0, 0, 0, 70.0, 80.0, 80.0)


def delivery_verdicts(stock: ThroughputRow, held: OpenRow) -> list[bool]:
    results = Results(delivery=DeliveryResults((stock,), (held,)))
    return [aim.met for aim in aims(results)]


def test_aims_of_delivery_are_met_at_their_limit() -> None:
    assert delivery_verdicts(STOCK, OPEN) == [True] * 4


@pytest.mark.parametrize(
    ("field", "value", "missed"),
    [
        ("per_s", 999.0, 0),
        ("client", ClientRow(1_000, 1_000, 0.0, 120.0), 0),  # the client got nothing through
        ("lost", 1, 1),
        ("duplicates", 1, 1),
        ("disorder", 1, 1),
    ],
)
def test_a_stock_delivered_too_slowly_or_not_rightly_misses_its_aim(
    field: str, value: Any, missed: int
) -> None:
    verdicts = delivery_verdicts(msgspec.structs.replace(STOCK, **{field: value}), OPEN)
    assert [number for number, met in enumerate(verdicts) if not met] == [missed]


@pytest.mark.parametrize(
    ("field", "value", "missed"),
    [
        ("beside_p99_ms", 40.1, 2),
        ("beside_p99_ms", 0.0, 2),  # nothing arrived beside them
        ("lost", 1, 3),
        ("duplicates", 1, 3),
        ("live_lost", 1, 3),
    ],
)
def test_conversations_that_slow_others_down_or_lose_events_miss_their_aim(
    field: str, value: Any, missed: int
) -> None:
    verdicts = delivery_verdicts(STOCK, msgspec.structs.replace(OPEN, **{field: value}))
    assert [number for number, met in enumerate(verdicts) if not met] == [missed]


def test_the_client_before_and_after_count_alike_and_by_the_time_they_took() -> None:
    slow, fast = ClientRow(100, 0, 1_000.0, 100.0), ClientRow(100, 1, 4_000.0, 200.0)
    assert both(slow, fast) == ClientRow(200, 1, 1_600.0, 150.0)


def test_a_stock_is_spread_over_instances_and_conversations_and_numbered_in_each() -> None:
    made = [(instance, look(body)) for instance, body in stock.bodies(Stock(24, 2, 3))]
    assert {instance for instance, _ in made} == {0, 1}
    numbers: dict[tuple[int, str], list[int]] = {}
    for instance, seen in made:
        assert (seen.event_type, seen.marker.run) == ("message_created", "stock")
        numbers.setdefault((instance, seen.subject), []).append(seen.marker.seq)
    assert list(numbers.values()) == [[1, 2, 3, 4]] * 6


def test_a_stock_without_a_name_is_not_marked_and_never_repeats() -> None:
    made = [body for _, body in stock.bodies(Stock(100, 1, 100, ""))]
    assert len(set(made)) == 100
    assert len({look(body).subject for body in made}) == 100
    assert not any(look(body).marker.run for body in made)


def test_a_row_holds_medians_and_the_sum_of_errors() -> None:
    rounds = [Round(float(n), n * 2.0, n * 3.0, n * 4.0, n) for n in (1, 9, 5)]
    assert medians("empty", KEPT, rounds) == IngestRow("empty", KEPT, 5, 10, 15, 20, 15)


def test_bodies_are_valid_and_never_repeat() -> None:
    made = [body for body, _ in zip(bodies(), range(1000), strict=False)]
    assert len({json.loads(body)["id"] for body in made}) == 1000
    assert {json.loads(body)["event"] for body in made} == {"message_created"}
    assert all(template.count(MARKER) == 1 for template in templates())


def test_an_event_may_cost_the_ledger_a_tenth_more_and_no_more() -> None:
    rows = [LedgerRow("", us / 2, us / 2, 9000.0) for us in (50, 55, 55.1)]
    assert [aim.met for aim in aims(Results(ledger=tuple(rows)))] == [True, False]


def test_a_quick_bench_of_the_ledger_tells_cpu_and_bytes_of_every_state() -> None:
    (rows,) = [quick("--only", "ledger").ledger]
    assert len(rows) == 4
    for row in rows:
        assert row.record_us > 0
        assert row.settle_us > 0
        assert row.wal_bytes > 3000  # a body at least


@pytest.mark.timeout(240)
def test_a_quick_bench_measures_every_server_without_errors() -> None:
    results = quick()
    assert {row.server for row in results.ingest} >= {"empty", "comporta", "sqlite"}
    assert all(row.errors == 0 and row.per_s > 0 for row in results.ingest)
    for whole in (*results.end_to_end, *results.lags):
        assert whole.accepted > 0
        assert (whole.lost, whole.duplicates, whole.disorder) == (0, 0, 0)
    (stocked,) = results.delivery.throughput
    assert (stocked.lost, stocked.duplicates, stocked.disorder) == (0, 0, 0)
    assert stocked.client.failed == 0
    assert min(stocked.per_s, stocked.cpu_us, stocked.client.per_s, stocked.client.cpu_us) > 0
    (held,) = results.delivery.open
    assert (held.lost, held.duplicates, held.live_lost) == (0, 0, 0)
    assert min(held.before_p99_ms, held.beside_p99_ms, held.released_per_s) > 0
