"""What people ask of a large ledger in PostgreSQL reads little of it, and no day it need not.

It is measured in blocks, not in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec import json
from tests.support.postgres_ledgers import PostgresStage, nothing_to_migrate, schema_of
from tests.support.postgres_seed import seed
from tests.support.servers.postgresql import Postgresql

from comporta.clients.postgresql import Connection
from comporta.clients.postgresql_database import Database
from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import first_at
from comporta.ledger.keeping import Kept
from comporta.ledger.port import Bulk, DeliveryFilter, EventFilter, Ledger
from comporta.ledger.postgres import bulk, questions, thinning
from comporta.ledger.postgres.days import DAY_MS, range_of
from comporta.ledger.sql import blocks
from comporta.testing.conformance.ledger_stage import NOW_MS, LedgerStage, new_event

DAYS, EVENTS_A_DAY = 10, 10_000
FIRST = NOW_MS // DAY_MS
FIFTH_MS = (FIRST + 5) * DAY_MS
SQL = blocks("postgres_keeping")
ALL_BLOCKS_MIN = 20_000
"""That the tables and indexes have."""
EVENT_ID = range_of(FIRST + 3)[0] + 100 * (DAY_MS // (EVENTS_A_DAY + 1) << 22)
SCANNED_MAX = 100
"""Rows: a table that has no more is read whole."""
Job = Callable[[Connection], Awaitable[Any]]


class Stage(PostgresStage, LedgerStage):
    """Puts events in."""


class Explaining:
    """A connection that has each question explained, and counts the blocks that it read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.answer: Any = None
        self.blocks = 0
        self.scanned: set[str] = set()
        self.touched: set[str] = set()

    async def fetch(self, sql: str, *values: object) -> list[Sequence[Any]]:
        """All rows."""
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
        plan = json.decode(await self._connection.fetchval(explain, *values))[0]["Plan"]
        self.blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        self._walk(plan)
        return await self._connection.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: object) -> Sequence[Any] | None:
        """The first row."""
        rows = await self.fetch(sql, *values)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *values: object) -> Any:
        """The first value."""
        return (await self.fetch(sql, *values))[0][0]

    def _walk(self, node: dict[str, Any]) -> None:
        if "Relation Name" in node and node["Actual Loops"]:
            self.touched.add(node["Relation Name"])
            rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            if node["Node Type"] == "Seq Scan" and rows * node["Actual Loops"] > SCANNED_MAX:
                self.scanned.add(node["Relation Name"])
        for part in node.get("Plans", ()):
            self._walk(part)


def _of(state: DeliveryState) -> DeliveryFilter:
    return DeliveryFilter(state=state)


# What is asked, blocks that it may read, and days that it may look into. Tomorrow is one of them.
QUESTIONS: dict[str, tuple[Job, int, int]] = {
    "the newest events": (lambda c: questions.events(c, EventFilter()), 1_000, 2),
    "events before one": (
        lambda c: questions.events(c, EventFilter(before_id=EVENT_ID)),
        1_500,
        11,
    ),
    "a conversation": (lambda c: questions.events(c, EventFilter(conversation_id=7)), 6_000, 11),
    "an event": (lambda c: questions.event(c, EVENT_ID), 60, 8),
    "the newest deliveries": (lambda c: questions.deliveries(c, DeliveryFilter()), 400, 2),
    "the newest dead letters": (
        lambda c: questions.deliveries(c, _of(DeliveryState.DEAD)),
        400,
        11,
    ),
    "the deliveries of an event": (
        lambda c: questions.deliveries(c, DeliveryFilter(event_id=EVENT_ID)),
        60,
        8,
    ),
    "the deliveries of an hour": (
        lambda c: questions.deliveries(
            c, DeliveryFilter(since_ms=FIFTH_MS, until_ms=FIFTH_MS + 3_600_000)
        ),
        400,
        1,
    ),
    "some deliveries by their numbers": (
        lambda c: questions.deliveries(c, DeliveryFilter(delivery_ids=(EVENT_ID + 1,))),
        40,
        1,
    ),
    "attempts": (lambda c: questions.attempts(c, EVENT_ID + 1), 10, 1),
    "the totals": (questions.totals, 2_000, 11),
    "a step of a redrive": (
        lambda c: bulk.chosen(c, Bulk.REDRIVE, DeliveryFilter(limit=50)),
        1_500,
        11,
    ),
    "a step of a replay": (
        lambda c: bulk.chosen(
            c, Bulk.REPLAY, DeliveryFilter(limit=500, after_id=first_at(FIFTH_MS))
        ),
        6_000,
        5,
    ),
    "what is needed of a day": (lambda c: thinning.needed(c, Kept.EVENTS, FIRST + 2), 1_500, 9),
}


@pytest.fixture(scope="module")
def place(postgresql: Postgresql, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger with a hundred thousand events of ten days."""
    folder = tmp_path_factory.mktemp("plans")
    schema = schema_of(folder)

    async def fill(ledger: Ledger) -> None:
        for day in range(FIRST, FIRST + DAYS):
            await stage.put(ledger, new_event(day, targets=()), now_ms=day * DAY_MS)
            await seed(stage.url(schema), schema, day, EVENTS_A_DAY, dead_every=100, open_every=333)

    stage = Stage()
    stage.url = postgresql.url
    stage.play(folder, fill)
    return stage.url(schema)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_reads_little(name: str, place: str) -> None:
    job, blocks_max, days_max = QUESTIONS[name]
    found = asked(place, job)
    days = {table.rpartition("_")[2] for table in found.touched if "_" in table}
    assert found.touched
    assert not found.scanned, "they are found by an index"
    assert len(days) <= days_max
    assert found.blocks <= blocks_max


def test_that_is_little_beside_all_that_there_is(place: str) -> None:
    database = asked(place, lambda c: c.fetchval(SQL["stored_bytes"]))
    assert database.answer > 8192 * ALL_BLOCKS_MIN


def asked(url: str, job: Job) -> Explaining:
    """What a job reads."""

    async def explained(connection: Connection) -> Explaining:
        explaining = Explaining(connection)
        explaining.answer = await job(explaining)  # type: ignore[arg-type]
        return explaining

    async def ask() -> Explaining:
        database = Database(url, nothing_to_migrate)
        await database.open()
        try:
            return await database.people.run(explained)
        finally:
            await database.close()

    return asyncio.run(ask())
