"""Measures ingest against what it could be and what one writes by hand, then the whole way.

Figures of one run on one machine can be compared with one another, and with nothing else.
"""

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rich.console import Console
from rich.table import Table
from tests.bench import e2e, ingest, ledger, soak
from tests.bench.figures import Results, aims, growth
from tests.bench.servers import contestants

SOAK_RATE = 2000.0
NAMES = {
    "empty": "empty ASGI handler",
    "comporta": "Comporta, durable",
    "sqlite": "FastAPI + SQLite commit",
    "redis": "FastAPI + Redis LPUSH¹",
}
NOTE = (
    "One uvicorn worker each; 64 connections; CPU is the server's, all its processes. Comporta also"
    " records each event in its ledger meanwhile. ¹ not on disk when it answers."
)


def main() -> None:
    """Measure and print."""
    options = _options()
    errors = Console(stderr=True)
    with TemporaryDirectory(prefix="comporta-bench-") as name:
        if options.soak:
            _soak(options.soak, Path(name), errors)
            return
        results = _measure(options, Path(name), lambda text: errors.print(f"  {text}", style="dim"))
    if options.json:
        found = {"results": results, "aims": aims(results)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        _show(results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to see that it works"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--only",
        choices=["ingest", "e2e", "ledger"],
        help="measure one part; what the ledger costs with a million events is measured only so",
    )
    parser.add_argument(
        "--soak", type=int, metavar="EVENTS", help="watch the memory over so many events instead"
    )
    return parser.parse_args()


def _soak(events: int, folder: Path, console: Console) -> None:
    rows, summary, arrived = soak.measure(events, SOAK_RATE, folder, console.print)
    table = _table("Memory of one worker and its dispatch", "events", "MB")
    for row in rows:
        table.add_row(f"{row.events:,}", f"{row.memory_mb:.0f}")
    out = Console()
    out.print(table)
    out.print(f"accepted {summary.accepted:,}, arrived {arrived:,}, {summary.rate_per_s:,.0f}/s")
    out.print(f"memory: {'flat' if soak.is_flat(rows) else 'growing'}")


def _measure(options: argparse.Namespace, folder: Path, say: ingest.Say) -> Results:
    rounds, seconds, long_s = (1, 1.0, 1.0) if options.quick else (3, 3.0, 10.0)
    results = Results()
    if options.only == "ledger":
        return Results(ledger=tuple(ledger.measure(folder, say, quick=options.quick)))
    if options.only != "e2e":
        if not shutil.which("redis-server"):
            say("redis-server is not installed: FastAPI with Redis is left out")
        with contestants(folder) as servers:
            rows = ingest.measure(servers, rounds, seconds, folder, say)
            rates = ingest.measure_rates(servers, long_s / 2, say)
            results = msgspec.structs.replace(results, ingest=rows, rates=rates)
    if options.only != "ingest":
        plans = [(1, 200.0)] if options.quick else [(1, 2000.0), (2, 2000.0), (1, 0.0)]
        found = tuple(e2e.measure(*plan, long_s, folder, say) for plan in plans)
        results = msgspec.structs.replace(results, end_to_end=found)
    return results


def _show(results: Results) -> None:
    console = Console(width=max(100, Console().width))
    for table in (
        _ingest_table(results),
        _rate_table(results),
        _end_to_end_table(results),
        _ledger_table(results),
    ):
        if table.row_count:
            console.print(table)
    if results.ingest:
        console.print(NOTE, style="dim")
    console.print(_aims_table(results))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _ingest_table(results: Results) -> Table:
    columns = (
        "server",
        "connections",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/request",
        "errors",
    )
    table = _table("Ingest at saturation", *columns)
    for row in results.ingest:
        table.add_row(
            NAMES[row.server],
            row.connections,
            f"{row.per_s:,.0f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.cpu_us:,.0f}",
            str(row.errors),
        )
    return table


def _rate_table(results: Results) -> Table:
    table = _table(
        "Ingest at a fixed rate", "server", "asked/s", "got/s", "p50 ms", "p99 ms", "errors"
    )
    for row in results.rates:
        table.add_row(
            NAMES[row.server],
            f"{row.rate:,.0f}",
            f"{row.per_s:,.0f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            str(row.errors),
        )
    return table


def _end_to_end_table(results: Results) -> Table:
    columns = ("asked/s", "workers", "accepted", "in/s", "out/s", "ack p99 ms", "lag p99 ms", "MB")
    table = _table("End to end: 3 Chatwoots → gateway → sink", *columns)
    for row in results.end_to_end:
        table.add_row(
            f"{row.rate:,.0f}" if row.rate else "all it takes",
            str(row.workers),
            f"{row.accepted:,}",
            f"{row.accepted_per_s:,.0f}",
            f"{row.delivered_per_s:,.0f}",
            f"{row.ack_p99_ms:.1f}",
            f"{row.lag_p99_ms:,.0f}",
            f"{row.memory_mb:.0f}",
        )
    return table


def _ledger_table(results: Results) -> Table:
    columns = ("before", "record µs", "settle µs", "together µs", "growth", "WAL bytes")
    table = _table("The ledger's CPU an event", *columns)
    for row in results.ledger:
        table.add_row(
            row.state,
            f"{row.record_us:.1f}",
            f"{row.settle_us:.1f}",
            f"{row.whole_us:.1f}",
            f"{growth(row, results.ledger[0]):+.0%}",
            f"{row.wal_bytes:,.0f}",
        )
    return table


def _aims_table(results: Results) -> Table:
    table = _table("Aims", "what", "wanted", "got", "")
    for aim in aims(results):
        verdict = "[green]met[/]" if aim.met else "[red]missed[/]"
        table.add_row(aim.what, aim.wanted, aim.got, verdict)
    return table


if __name__ == "__main__":
    main()
