"""Measures ingest beside what it could be and what one writes by hand, the whole way, delivery.

Figures of one run on one machine can be compared with one another, and with nothing else.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rich.console import Console
from rich.table import Table
from tests.bench import delivery, e2e, engines, held, ingest, ledger, several, soak, telemetry
from tests.bench.aim import Aim
from tests.bench.delivery_figures import DeliveryResults
from tests.bench.figures import EndToEndRow, Results, aims, growth
from tests.bench.servers import contestants
from tests.bench.several_figures import several_aims
from tests.bench.tables import (
    ENGINE_NOTE,
    SEVERAL_NOTE,
    THROUGHPUT_NOTE,
    engine_table,
    open_table,
    several_table,
    table,
    throughput_table,
)

SOAK_RATE = 2000.0
PARTS = ("ingest", "e2e", "delivery")
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

        def say(text: str) -> None:
            errors.print(f"  {text}", style="dim")

        for wanted, instead in (
            (options.engine, _engines),
            (options.servers, _servers),
            (options.telemetry, _telemetry),
        ):
            if wanted:
                instead(options, Path(name), say)
                return
        results = _measure(options, Path(name), say)
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
        choices=[*PARTS, "ledger"],
        help="measure one part; what the ledger costs with a million events is measured only so",
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=[*engines.ENGINES, "all"],
        metavar="NAME",
        help=f"compare engines for the log instead: {', '.join(engines.ENGINES)} or all",
    )
    parser.add_argument(
        "--servers",
        type=_counts,
        metavar="N,M",
        help="compare numbers of servers behind nginx instead, as in 1,2; about a minute",
    )
    parser.add_argument(
        "--telemetry", action="store_true", help="measure what telemetry costs a webhook instead"
    )
    parser.add_argument(
        "--soak", type=int, metavar="EVENTS", help="watch the memory over so many events instead"
    )
    return parser.parse_args()


def _engines(options: argparse.Namespace, folder: Path, say: ingest.Say) -> None:
    names = engines.ENGINES if "all" in options.engine else tuple(options.engine)
    rows = engines.measure(names, quick=options.quick, folder=folder, say=say)
    found = engines.aims(rows)
    if options.json:
        data = msgspec.json.encode({"engines": rows, "aims": found})
        sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")
        return
    console = Console(width=max(100, Console().width))
    for made in (engine_table(rows), _aims_table(found)):
        console.print(made)
    console.print(ENGINE_NOTE, style="dim")


def _counts(text: str) -> list[int]:
    counts = [int(one) for one in text.split(",")]
    if not all(1 <= count <= several.SERVERS_MAX for count in counts):
        raise argparse.ArgumentTypeError(f"each number is 1 to {several.SERVERS_MAX}")
    return counts


def _servers(options: argparse.Namespace, folder: Path, say: ingest.Say) -> None:
    rows = several.measure(options.servers, quick=options.quick, folder=folder, say=say)
    found = several_aims(rows)
    if options.json:
        data = msgspec.json.encode({"servers": rows, "aims": found})
        sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")
        return
    console = Console(width=max(150, Console().width))
    for made in (several_table(rows), _aims_table(found)):
        console.print(made)
    console.print(SEVERAL_NOTE, style="dim")


def _telemetry(options: argparse.Namespace, folder: Path, say: ingest.Say) -> None:
    rounds, seconds = (1, 1.0) if options.quick else (7, 3.0)
    rows = telemetry.measure(rounds, seconds, folder, say)
    found = telemetry.aims(rows)
    if options.json:
        data = msgspec.json.encode({"telemetry": rows, "aims": found})
        sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")
        return
    console, made = Console(), table("Intake, CPU µs a request", "connections", "with", "without")
    for row in rows:
        made.add_row(row.connections, f"{row.with_us:.1f}", f"{row.without_us:.1f}")
    for one in (made, _aims_table(found)):
        console.print(one)


def _soak(events: int, folder: Path, console: Console) -> None:
    rows, summary, arrived = soak.measure(events, SOAK_RATE, folder, console.print)
    rows_shown = table("Memory of one worker and its dispatch", "events", "MB")
    for row in rows:
        rows_shown.add_row(f"{row.events:,}", f"{row.memory_mb:.0f}")
    out = Console()
    out.print(rows_shown)
    out.print(f"accepted {summary.accepted:,}, arrived {arrived:,}, {summary.rate_per_s:,.0f}/s")
    out.print(f"memory: {'flat' if soak.is_flat(rows) else 'growing'}")


def _measure(options: argparse.Namespace, folder: Path, say: ingest.Say) -> Results:
    rounds, seconds, long_s = (1, 1.0, 1.0) if options.quick else (3, 3.0, 10.0)
    if options.only == "ledger":
        return Results(ledger=tuple(ledger.measure(folder, say, quick=options.quick)))
    results, parts = Results(), (options.only,) if options.only else PARTS
    if "ingest" in parts:
        if not shutil.which("redis-server"):
            say("redis-server is not installed: FastAPI with Redis is left out")
        with contestants(folder) as servers:
            rows = ingest.measure(servers, rounds, seconds, folder, say)
            rates = ingest.measure_rates(servers, long_s / 2, say)
            results = msgspec.structs.replace(results, ingest=rows, rates=rates)
    if "e2e" in parts:
        plans = [(1, 200.0)] if options.quick else [(1, 2000.0), (2, 2000.0), (1, 0.0)]
        found = tuple(e2e.measure(*plan, long_s, folder, say) for plan in plans)
        results = msgspec.structs.replace(results, end_to_end=found)
    if "delivery" in parts:
        results = _measure_delivery(results, quick=options.quick, folder=folder, say=say)
    return results


def _measure_delivery(results: Results, *, quick: bool, folder: Path, say: ingest.Say) -> Results:
    size = delivery.QUICK if quick else delivery.FULL
    stocks = delivery.throughput(size, folder, say)
    lags = delivery.lags(size, folder, say)
    open_ = held.measure(size.conversations, size.live_s, folder, say)
    return msgspec.structs.replace(
        results, lags=lags, delivery=DeliveryResults(throughput=stocks, open=(open_,))
    )


def _show(results: Results) -> None:
    console = Console(width=max(100, Console().width))
    for made in (
        _ingest_table(results),
        _rate_table(results),
        _end_to_end_table(results.end_to_end + results.lags),
        throughput_table(results.delivery.throughput),
        open_table(results.delivery.open),
        _ledger_table(results),
    ):
        if made.row_count:
            console.print(made)
    if results.ingest:
        console.print(NOTE, style="dim")
    if results.delivery.throughput:
        console.print(THROUGHPUT_NOTE, style="dim")
    console.print(_aims_table(aims(results)))


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
    made = table("Ingest at saturation", *columns)
    for row in results.ingest:
        made.add_row(
            NAMES[row.server],
            row.connections,
            f"{row.per_s:,.0f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.cpu_us:,.0f}",
            str(row.errors),
        )
    return made


def _rate_table(results: Results) -> Table:
    made = table(
        "Ingest at a fixed rate", "server", "asked/s", "got/s", "p50 ms", "p99 ms", "errors"
    )
    for row in results.rates:
        made.add_row(
            NAMES[row.server],
            f"{row.rate:,.0f}",
            f"{row.per_s:,.0f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            str(row.errors),
        )
    return made


def _end_to_end_table(rows: tuple[EndToEndRow, ...]) -> Table:
    columns = ("asked/s", "Chatwoots", "workers", "accepted", "in/s", "out/s", "ack p99 ms")
    made = table(
        "End to end: Chatwoots → gateway → sink", *columns, "lag p50", "p99 ms", "CPU µs", "MB"
    )
    for row in rows:
        made.add_row(
            f"{row.rate:,.0f}" if row.rate else "all it takes",
            f"{row.chatwoots:,}",
            str(row.workers),
            f"{row.accepted:,}",
            f"{row.accepted_per_s:,.0f}",
            f"{row.delivered_per_s:,.0f}",
            f"{row.ack_p99_ms:.1f}",
            f"{row.lag_p50_ms:,.0f}",
            f"{row.lag_p99_ms:,.0f}",
            f"{row.dispatch_cpu_us:,.0f}",
            f"{row.memory_mb:.0f}",
        )
    return made


def _ledger_table(results: Results) -> Table:
    columns = ("before", "record µs", "settle µs", "together µs", "growth", "WAL bytes")
    made = table("The ledger's CPU an event", *columns)
    for row in results.ledger:
        made.add_row(
            row.state,
            f"{row.record_us:.1f}",
            f"{row.settle_us:.1f}",
            f"{row.whole_us:.1f}",
            f"{growth(row, results.ledger[0]):+.0%}",
            f"{row.wal_bytes:,.0f}",
        )
    return made


def _aims_table(found: Sequence[Aim]) -> Table:
    made = table("Aims", "what", "wanted", "got", "")
    for aim in found:
        verdict = "[green]met[/]" if aim.met else "[red]missed[/]"
        made.add_row(aim.what, aim.wanted, aim.got, verdict)
    return made


if __name__ == "__main__":
    main()
