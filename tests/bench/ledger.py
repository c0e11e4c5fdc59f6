"""Measures what an event costs the ledger, by what is stored and what waits there already.

The functions of the ledger's writer run here on a file of their own, in this thread, so that CPU
time is theirs alone: `record` in batches of 256 events, `settle` of 100 outcomes, a transaction
each, and the checkpoints that they bring about. What is stored before is put there by the same
functions, with short bodies and without syncs, within 48 minutes: all within the dedupe window.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import NamedTuple

import apsw
from tests.bench.figures import LedgerRow
from tests.bench.servers import ROOT

from comporta.domain.dedupe import DEFAULT_WINDOW_S
from comporta.domain.delivery import AttemptResult, Delivery, DeliveryState, Outcome, Verdict
from comporta.domain.event import Record
from comporta.embedded.connection import connect
from comporta.embedded.migrations import migrate
from comporta.embedded.rows import transaction
from comporta.embedded.upkeep import WAL_BYTES_MAX
from comporta.ledger.port import NewEvent, Target
from comporta.ledger.sqlite import dispatch as work
from comporta.ledger.sqlite.ledger import PAGE_BYTES
from comporta.ledger.sqlite.recording import Recorder

RECORDED, SETTLED = 256, 100
FILLED = 4096
PARTITIONS = 16
TOKENS = dict.fromkeys(range(PARTITIONS), 1)
TARGETS = (Target("rou_3k8f2m9x1q", "dst_7h2k9d4n0v"),)
PAYLOADS = ROOT / "src/comporta/testing/payloads"
BODY_BYTES_MIN, BODY_BYTES_MAX = 3000, 4500
HOUR_MS = 3_600_000
STARTED_AT_MS = 1_800_000_000_000
HEADERS = (
    ("content-type", "application/json"),
    ("x-chatwoot-delivery", "5b1c1bd5-7a4e-4a6a-9d1a-0f6a7c1e2d3b"),
    ("x-chatwoot-signature", "sha256=" + "0f" * 32),
    ("x-chatwoot-timestamp", "1800000000"),
)


class Plan(NamedTuple):
    """How much is stored before, how much waits, and how much is measured."""

    conversations: int
    stored: tuple[int, int]
    waiting: int
    rounds: int
    batches: int


FULL = Plan(100_000, (10_000, 1_000_000), 100_000, 5, 12)
QUICK = Plan(1_000, (500, 5_000), 500, 2, 2)


def measure(folder: Path, say: Callable[[str], None], *, quick: bool = False) -> list[LedgerRow]:
    """A row for each state of the ledger; the others are compared with the first."""
    plan = QUICK if quick else FULL
    few, many = plan.stored
    rows = []
    for stored in plan.stored:
        say(f"ledger, {stored:,} events stored")
        with _stage(folder / f"ledger-{stored}.db", plan) as stage:
            stage.fill(stored)
            rows.append(stage.measure(f"{stored:,} stored, in the window"))
            if stored == many:
                stage.wait_hours(3)
                rows.append(stage.measure(f"{stored:,} stored, before it"))
    say(f"ledger, {plan.waiting:,} deliveries waiting")
    with _stage(folder / "ledger-waiting.db", plan) as stage:
        stage.fill(few)
        stage.fill(plan.waiting, settled=False)
        rows.append(stage.measure(f"{few:,} stored, {plan.waiting:,} waiting"))
    return rows


class _Stage:
    """A ledger's file, with a clock of its own."""

    def __init__(self, connection: apsw.Connection, plan: Plan) -> None:
        self._connection = connection
        self._plan = plan
        self._draw = random.Random(7)  # noqa: S311  (the same load each time)
        self._offset = itertools.count(1)
        self._now_ms = STARTED_AT_MS
        self._frames = 0
        self._recorder = Recorder(DEFAULT_WINDOW_S)

    def fill(self, events: int, *, settled: bool = True) -> None:
        """Store so many; with `settled` False, they stay open, one in each conversation in turn."""
        self._connection.execute("PRAGMA synchronous=OFF")
        step_ms = HOUR_MS * 0.8 / (events / FILLED)
        for begin in range(0, events, FILLED):
            size = min(FILLED, events - begin)
            numbers = None if settled else range(begin, begin + size)
            found = self._record(self._events(size, (b"{}",), numbers))
            if settled:
                self._settle(found, FILLED)
            self._checkpoint(WAL_BYTES_MAX)
            self._now_ms += int(step_ms)
        self._connection.execute("PRAGMA synchronous=FULL")

    def wait_hours(self, hours: int) -> None:
        """What is stored grows older."""
        self._now_ms += hours * HOUR_MS

    def measure(self, state: str) -> LedgerRow:
        """CPU and WAL bytes an event, the median round."""
        rounds = [self._round(self._plan.batches) for _ in range(self._plan.rounds)]
        recorded, settled, wal = (median(column) for column in zip(*rounds, strict=True))
        return LedgerRow(state, recorded, settled, wal)

    def _round(self, batches: int) -> tuple[float, float, float]:
        made = [self._events(RECORDED, bodies()) for _ in range(batches)]
        record_s = settle_s = 0.0
        frames = 0
        for events in made:
            began = time.process_time()
            found = self._record(events)
            between = time.process_time()
            self._settle(found)
            frames += self._checkpoint(WAL_BYTES_MAX)
            record_s += between - began
            settle_s += time.process_time() - between
            self._now_ms += 100
        events_total = batches * RECORDED
        return (
            record_s / events_total * 1e6,
            settle_s / events_total * 1e6,
            frames * PAGE_BYTES / events_total,
        )

    def _events(
        self, size: int, texts: Sequence[bytes], numbers: Sequence[int] | None = None
    ) -> list[NewEvent]:
        chosen = numbers or [self._draw.randrange(self._plan.conversations) for _ in range(size)]
        return [
            self._event(number % self._plan.conversations, self._draw.choice(texts))
            for number in chosen
        ]

    def _event(self, number: int, body: bytes) -> NewEvent:
        lane = int.from_bytes(blake2b(str(number).encode(), digest_size=8).digest(), "big") >> 2
        partition = lane % PARTITIONS
        record = Record(
            partition,
            self._now_ms,
            f"ins_{number % 100:010}",
            f"src_{number % 100:010}",
            "message_created",
            1,
            f"conversation:{number}",
            True,
            HEADERS,
            body,
        )
        keys = (self._draw.randbytes(16), self._draw.randbytes(16))
        return NewEvent(next(self._offset), record, 1, lane, TARGETS, keys=keys)

    def _record(self, events: list[NewEvent]) -> Sequence[Delivery]:
        with transaction(self._connection):
            return self._recorder.record(self._connection, TOKENS, events, self._now_ms).deliveries

    def _settle(self, deliveries: Sequence[Delivery], size: int = SETTLED) -> None:
        for begin in range(0, len(deliveries), size):
            batch = deliveries[begin : begin + size]
            outcomes = [_outcome(delivery, self._now_ms) for delivery in batch]
            with transaction(self._connection):
                work.settle(self._connection, TOKENS, outcomes, self._now_ms)

    def _checkpoint(self, wal_bytes_max: int) -> int:
        """Frames written to the WAL since the last time; beyond the limit it starts anew."""
        frames, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        added = frames - self._frames
        self._frames = frames
        if frames * PAGE_BYTES > wal_bytes_max:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            self._frames = 0
        return added


def _outcome(delivery: Delivery, now_ms: int) -> Outcome:
    result = AttemptResult(now_ms, 12.5, 200, response=b"ok")
    return Outcome(delivery, result, Verdict(DeliveryState.DELIVERED))


@contextmanager
def _stage(path: Path, plan: Plan) -> Iterator[_Stage]:
    connection = connect(path, page_bytes=PAGE_BYTES)
    try:
        migrate(connection, path, "comporta.ledger.schema", "sqlite_")
        for partition, token in TOKENS.items():
            work.claim(connection, partition, token, "sqlite")
        yield _Stage(connection, plan)
    finally:
        connection.close()


@cache
def bodies() -> tuple[bytes, ...]:
    """Chatwoot's own bodies, those of an ordinary size."""
    found = (path.read_bytes() for path in sorted(PAYLOADS.glob("*.json")))
    return tuple(body for body in found if BODY_BYTES_MIN <= len(body) <= BODY_BYTES_MAX)
