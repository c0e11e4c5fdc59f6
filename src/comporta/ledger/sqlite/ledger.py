"""The embedded ledger: one SQLite file, shared by the workers and the command line of a machine.

All writes are jobs of one group commit a process; each runs in a savepoint, so that one that fails
takes none of the others with it. Reads have a thread and a connection of their own. So have
people's searches: they may take long, and neither dispatch nor the fleet's watch shall wait.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

import apsw
import msgspec

from comporta.clock import now_ms
from comporta.domain.dedupe import DEFAULT_WINDOW_S
from comporta.domain.delivery import Delivery, Outcome
from comporta.domain.fleet import Fleet
from comporta.domain.pace import Pace
from comporta.embedded.connection import BROKEN, check_library, connect, unavailable
from comporta.embedded.group_commit import GroupCommit
from comporta.embedded.migrations import migrate
from comporta.embedded.reader import Reader
from comporta.embedded.rows import every, one, transaction
from comporta.embedded.upkeep import Upkeep
from comporta.errors import ConflictError
from comporta.i18n import _
from comporta.ledger.admin import AdminLedger
from comporta.ledger.copying import Copying
from comporta.ledger.keeping import Keeping
from comporta.ledger.port import (
    EMBEDDED_LOG,
    REFILL_BYTES_MAX,
    AttemptRow,
    Bulk,
    Claim,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
    FleetChange,
    LaneKey,
    LedgerTotals,
    Matches,
    NewEvent,
    Operation,
    Recorded,
    Step,
)
from comporta.ledger.sql import blocks
from comporta.ledger.sqlite import bulk, questions
from comporta.ledger.sqlite import dispatch as work
from comporta.ledger.sqlite.admin import SqliteAdmin
from comporta.ledger.sqlite.copying import SqliteCopying
from comporta.ledger.sqlite.keeping import SqliteKeeping
from comporta.ledger.sqlite.recording import Recorder
from comporta.ledger.sqlite.watching import SqliteWatching
from comporta.ledger.watching import Watching

SQL = blocks("sqlite")
JOBS_A_GROUP = 32
PAGE_BYTES = 4 * 1024
P = ParamSpec("P")
T = TypeVar("T")
Job = Callable[[apsw.Connection], object]


class _Session:
    """The writer's open file."""

    def __init__(self, path: Path) -> None:
        self.connection = _open(path)
        self._path = path

    def write(self, jobs: Sequence[Job]) -> list[object]:
        with transaction(self.connection):
            if not jobs:
                self.connection.execute(SQL["probe"])
            return [self._run(job) for job in jobs]

    def _run(self, job: Job) -> object:
        result: object = None
        try:
            with self.connection:  # a savepoint
                result = job(self.connection)
        except BROKEN:
            raise  # the file's fault: it concerns the whole group
        except apsw.Error as error:
            return unavailable(error, self._path)
        except Exception as error:  # noqa: BLE001  (one of the supervisor's: its caller gets it)
            return error
        return result


class SqliteLedger:
    """The `Ledger` port on a SQLite file.

    Args:
        path: the file; made if it does not exist.
        window_s: within which a repeated event is not delivered again, seconds.
        observe: called after each transaction with the number of jobs and the seconds it took, on
            the writer's thread.
        upkeep: whether this process takes part in checkpoints.
    """

    def __init__(
        self,
        path: Path,
        window_s: float = DEFAULT_WINDOW_S,
        observe: Callable[[int, float], None] | None = None,
        *,
        upkeep: bool = True,
    ) -> None:
        self._path = path
        self._recorder = Recorder(window_s)
        self._writer: GroupCommit[Job] = GroupCommit(
            path, lambda: _Session(path), group_max=JOBS_A_GROUP, observe=observe
        )
        self._reader = Reader(path, lambda: _open(path))
        self._searcher = Reader(path, lambda: _open(path))
        self._upkeep = Upkeep(path, active=upkeep)
        self._admin = SqliteAdmin(self._reader.run, self._write)
        self._keeping = SqliteKeeping(self._reader, self._write)
        self._copying = SqliteCopying(self._reader, self._write)
        self._watching = SqliteWatching(self._searcher, self._write)

    @property
    def engine(self) -> str:
        """See the port."""
        return "sqlite"

    async def open(self) -> None:
        """See the port."""
        check_library(apsw.sqlite_lib_version())
        await self._reader.run(_ready)
        self._writer.start()
        self._upkeep.start()

    async def close(self) -> None:
        """See the port."""
        await self._writer.close()
        await asyncio.to_thread(self._upkeep.close)
        await self._searcher.close()
        await self._reader.close()

    @property
    def error(self) -> str:
        """What is wrong with writing, in a sentence; "" if nothing is."""
        return self._writer.error or self._upkeep.error

    async def _write(
        self, job: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return cast("T", await self._writer.submit(lambda c: job(c, *args, **kwargs)))

    @property
    def keeping(self) -> Keeping:
        """See the port."""
        return self._keeping

    @property
    def admin(self) -> AdminLedger:
        """See the port."""
        return self._admin

    @property
    def copying(self) -> Copying:
        """See the port."""
        return self._copying

    @property
    def watching(self) -> Watching:
        """See the port."""
        return self._watching

    # The fleet

    async def fleet_version(self) -> int:
        """See the port."""
        return await self._reader.run(_fleet_version)

    async def fleet(self) -> Fleet:
        """See the port."""
        return await self._reader.run(_fleet)

    async def fleet_changed(self, timeout_s: float) -> None:
        """See the port. Other processes write to the file, too: only looking tells."""
        await asyncio.sleep(timeout_s)

    async def replace_fleet(self, fleet: Fleet, who: str, summary: str) -> None:
        """See the port."""
        await self._write(_replace_fleet, fleet, who, summary)

    # Dispatch

    async def claim(self, partition: int, token: int, log: str = EMBEDDED_LOG) -> Claim:
        """See the port."""
        return await self._write(work.claim, partition, token, log)

    async def record(
        self, tokens: Mapping[int, int], events: Sequence[NewEvent], now_ms: int
    ) -> Recorded:
        """See the port."""
        return await self._write(self._recorder.record, tokens, events, now_ms)

    async def refill(
        self, lanes: Mapping[LaneKey, int], each_max: int, bytes_max: int = REFILL_BYTES_MAX
    ) -> list[Delivery]:
        """See the port."""
        return await self._reader.run(work.refill, list(lanes.items()), each_max, bytes_max)

    async def settle(
        self, tokens: Mapping[int, int], outcomes: Sequence[Outcome], now_ms: int
    ) -> frozenset[int]:
        """See the port."""
        return await self._write(work.settle, tokens, outcomes, now_ms)

    async def source_accounts(self) -> dict[str, int]:
        """See the port."""
        return await self._reader.run(lambda c: dict(every(c, SQL["source_accounts"])))

    async def nudges(self, after: int) -> tuple[int, list[LaneKey]]:
        """See the port."""
        return await self._reader.run(_nudges, after)

    # People

    async def events(self, which: EventFilter) -> list[EventRow]:
        """See the port."""
        return await self._searcher.run(questions.events, which)

    async def event(self, event_id: int) -> EventDetail | None:
        """See the port."""
        return await self._reader.run(questions.event, event_id)

    async def deliveries(self, which: DeliveryFilter) -> list[DeliveryRow]:
        """See the port."""
        return await self._searcher.run(questions.deliveries, which)

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        """See the port."""
        return await self._reader.run(questions.attempts, delivery_id)

    async def count(self, which: DeliveryFilter) -> int:
        """See the port."""
        return await self._searcher.run(questions.count, which)

    async def matches(self, what: Bulk, which: DeliveryFilter) -> Matches:
        """See the port."""
        return await self._searcher.run(bulk.matches, what, which)

    async def redrive(self, which: DeliveryFilter, now_ms: int, operation_id: int = 0) -> Step:
        """See the port."""
        chosen = await self._searcher.run(bulk.chosen, Bulk.REDRIVE, which)
        return await self._write(bulk.redrive, chosen, now_ms, operation_id)

    async def replay(
        self,
        which: DeliveryFilter,
        now_ms: int,
        destination_id: str | None = None,
        pace: Pace | None = None,
        operation_id: int = 0,
    ) -> Step:
        """See the port."""
        chosen = await self._searcher.run(bulk.chosen, Bulk.REPLAY, which)
        return await self._write(bulk.replay, chosen, now_ms, destination_id, pace, operation_id)

    async def discard(
        self, which: DeliveryFilter, now_ms: int, reason: str, operation_id: int = 0
    ) -> Step:
        """See the port."""
        chosen = await self._searcher.run(bulk.chosen, Bulk.DISCARD, which)
        return await self._write(bulk.discard, chosen, now_ms, reason, operation_id)

    async def note(self, operation: Operation) -> int:
        """See the port."""
        return await self._write(bulk.note, operation)

    async def operations(self, before_id: int | None, limit: int) -> list[Operation]:
        """See the port."""
        return await self._reader.run(bulk.operations, before_id, limit)

    async def fleet_changes(self, before_version: int | None, limit: int) -> list[FleetChange]:
        """See the port."""
        return await self._reader.run(bulk.fleet_changes, before_version, limit)

    async def totals(self) -> LedgerTotals:
        """See the port."""
        return await self._reader.run(questions.totals)


def _open(path: Path) -> apsw.Connection:
    connection = connect(path, page_bytes=PAGE_BYTES)
    try:
        migrate(connection, path, "comporta.ledger.schema", "sqlite_")
    except BaseException:
        connection.close()
        raise
    return connection


def _ready(_connection: apsw.Connection) -> None:
    """Opening the connection was all."""


def _fleet_version(connection: apsw.Connection) -> int:
    return int(one(connection, SQL["fleet_version"])[0])


def _fleet(connection: apsw.Connection) -> Fleet:
    row = one(connection, SQL["fleet_document"])
    return Fleet() if row is None else msgspec.json.decode(row[0], type=Fleet)


def _replace_fleet(connection: apsw.Connection, fleet: Fleet, who: str, summary: str) -> None:
    if fleet.version != _fleet_version(connection) + 1:
        raise ConflictError(_("Somebody else changed the fleet meanwhile. Try again."))
    document = msgspec.json.encode(fleet).decode()
    connection.execute(SQL["add_fleet"], (fleet.version, document, now_ms(), who, summary))


def _nudges(connection: apsw.Connection, after: int) -> tuple[int, list[LaneKey]]:
    if after < 0:
        return int(one(connection, SQL["last_nudge"])[0]), []
    rows = every(connection, SQL["nudges"], (after,))
    last = rows[-1][0] if rows else after
    return last, [LaneKey(*row[1:]) for row in rows]
