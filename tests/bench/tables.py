"""Rows as tables for people. It measures nothing and prints nothing."""

from rich.table import Table
from tests.bench.delivery_figures import OpenRow, ThroughputRow
from tests.bench.engines import E2E_RATE, RATE, EngineRow
from tests.bench.several_figures import SeveralRow, speed

THROUGHPUT_NOTE = (
    "A stock waits in the log when the gateway starts; 32 deliveries at a time (24 for one instance"
    " alone), and 32 calls of the client. CPU is the dispatch process's: taking over, delivering,"
    " recording; the client's is its own."
)
ENGINE_NOTE = (
    "One worker, 64 connections. Ingest has ledger and state embedded; end to end has PostgreSQL"
    " and Redis for them, but for sqlite. The client alone publishes the same bodies, 64 at a time,"
    " each confirmed before the next. All servers are on this machine, and every one of them syncs."
)
SEVERAL_NOTE = (
    "All on this machine: Chatwoots, nginx, servers with one worker each, Redis (log and state, AOF"
    " synced always), PostgreSQL (ledger), sink. CPU is microseconds an event, of all processes of"
    " that program. A server more on the same cores shows what it costs, not what it brings."
)


def table(title: str, *columns: str) -> Table:
    """An empty table whose first column is words and whose others are figures."""
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


def throughput_table(rows: tuple[ThroughputRow, ...]) -> Table:
    """Delivery beside the client alone."""
    columns = ("instances", "events", "client/s", "delivered/s", "share", "client CPU µs", "CPU µs")
    made = table("Delivery of a stock, beside the HTTP client alone", *columns, "MB")
    for row in rows:
        made.add_row(
            f"{row.instances:,}",
            f"{row.events:,}",
            f"{row.client.per_s:,.0f}",
            f"{row.per_s:,.0f}",
            f"{row.per_s / row.client.per_s:.2f}" if row.client.per_s else "-",
            f"{row.client.cpu_us:,.0f}",
            f"{row.cpu_us:,.0f}",
            f"{row.memory_mb:.0f}",
        )
    return made


def open_table(rows: tuple[OpenRow, ...]) -> Table:
    """One instance beside very many open conversations of another."""
    columns = ("", "without", "beside them", "when delivered")
    title = "One instance beside {:,} open conversations of another"
    made = table(title.format(rows[0].conversations if rows else 0), *columns)
    for row in rows:
        made.add_row("its lag p50 ms", f"{row.before_p50_ms:.1f}", f"{row.beside_p50_ms:.1f}", "")
        made.add_row("its lag p99 ms", f"{row.before_p99_ms:.1f}", f"{row.beside_p99_ms:.1f}", "")
        memory = (row.before_mb, row.beside_mb, row.after_mb)
        made.add_row("dispatch MB", *(f"{one:.0f}" for one in memory))
        speeds = (row.taken_over_per_s, row.released_per_s)
        made.add_row("taken over, delivered /s", "", *(f"{one:,.0f}" for one in speeds))
    return made


def engine_table(rows: list[EngineRow]) -> Table:
    """The log's engines side by side."""
    columns = ("engine", "client/s", "ingest/s", "p99 ms", "CPU µs", f"p99 at {RATE:,.0f}/s")
    made = table("Engines of the log", *columns, f"lag p99 at {E2E_RATE:,.0f}/s, ms", "lost")
    for row in rows:
        made.add_row(
            row.engine,
            f"{row.ceiling.per_s:,.0f}" if row.ceiling else "",
            f"{row.per_s:,.0f}",
            f"{row.p99_ms:.1f}",
            f"{row.cpu_us:,.0f}",
            f"{row.rate_p99_ms:.1f}",
            f"{row.end_to_end.lag_p99_ms:,.0f}",
            f"{row.end_to_end.lost}",
        )
    return made


def several_table(rows: list[SeveralRow]) -> Table:
    """One gateway with more and more servers."""
    columns = ("load", "servers", "accepted", "lost", "repeated", "disordered", "in/s", "out/s")
    made = table("Servers behind nginx", *columns, "ack p50", "p99 ms", "CPU µs", "of them")
    for row in sorted(rows, key=lambda row: (row.rate == 0, row.servers)):
        made.add_row(
            speed(row.rate),
            str(row.servers),
            f"{row.accepted:,}",
            *(str(fault) for fault in (row.lost, row.duplicates, row.disorder)),
            f"{row.accepted_per_s:,.0f}",
            f"{row.delivered_per_s:,.0f}",
            f"{row.ack_p50_ms:.1f}",
            f"{row.ack_p99_ms:.1f}",
            f"{sum(row.cpu_us.values()):,.0f}",
            ", ".join(f"{name} {cpu:,.0f}" for name, cpu in row.cpu_us.items()),
        )
    return made
