"""The embedded log: one SQLite file, shared by all workers of a machine.

Appending is a group commit of one row, so the cost of a record is little more than copying it. A
partition is a bit in the row's mask: readers scan new rows in order and decode only what is theirs.
Rows are deleted behind the watermark. Offsets are never below the present time in microseconds, so
that they are above all that was there before: a ledger that outlived its log, or met an older copy
of it, goes on rightly.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import apsw
import msgspec

from comporta.domain.event import Record
from comporta.domain.growth import Room
from comporta.embedded.connection import connect
from comporta.embedded.gate import Gate, gate_of
from comporta.embedded.group_commit import GroupCommit
from comporta.embedded.migrations import migrate
from comporta.embedded.reader import Reader
from comporta.embedded.room import room
from comporta.embedded.rows import every, one, transaction
from comporta.embedded.upkeep import Upkeep
from comporta.errors import ConfigError, StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.common import check_partitions
from comporta.log.frames import pack, unpack
from comporta.log.port import Batch, Entry, LogHealth, Receipt

PAGE_BYTES = 16 * 1024
ROWS_A_READ = 64
ROWS_A_TRIM = 8
"""Few, for writers wait meanwhile."""
COMMIT_PERIOD_S = 1.0

_APPEND = (
    "INSERT INTO log (last, count, mask, records)"
    " SELECT max(coalesce(max(last), 0), ?1) + ?2, ?2, ?3, ?4 FROM log"
)
_PROBE = "INSERT OR REPLACE INTO probe (id, filler) VALUES (1, randomblob(65536))"
_LAST = "SELECT coalesce(max(last), 0) FROM log"
_READ = (
    "SELECT last, count, records FROM log"
    " WHERE last > ? AND last <= ? AND mask & ? != 0 ORDER BY last LIMIT ?"
)
_SAVE = (
    "INSERT INTO watermarks (partition, offset) VALUES (?, ?)"
    " ON CONFLICT (partition) DO UPDATE SET offset = max(offset, excluded.offset)"
)
_WATERMARKS = "SELECT partition, offset FROM watermarks"
_FLOOR = "SELECT count(*), min(offset) FROM watermarks"
_TRIM = (
    "DELETE FROM log WHERE last IN (SELECT last FROM log WHERE last <= ?"
    " AND last < (SELECT max(last) FROM log) ORDER BY last LIMIT ?)"
)
_LAG = "SELECT coalesce(sum(count), 0) FROM log WHERE last > ?"


class LogSession:
    """The writer's open file; see `embedded.group_commit.Session`."""

    def __init__(self, path: Path) -> None:
        self.connection = _open(path, durable=True)
        self._cursor = self.connection.cursor()

    def write(self, records: Sequence[Record]) -> list[object]:
        """Append a group, in one transaction."""
        if not records:
            self._cursor.execute(_PROBE)
            return []
        mask = 0
        for record in records:
            mask |= 1 << record.partition
        # One statement is one transaction: the fewer calls, the fewer waits for the event loop.
        base = time.time_ns() // 1000
        self._cursor.execute(_APPEND, (base, len(records), mask, pack(records)))
        return [None] * len(records)


class SqliteLog:
    """The `Log` port on a SQLite file.

    Args:
        path: the file; made if it does not exist.
        partitions: 1 to 62; must stay the same for a file.
        observe: called after each commit with the number of records and the seconds it took, on
            the writer's thread.
        upkeep: whether this process takes part in trimming and checkpoints.
    """

    def __init__(
        self,
        path: Path,
        partitions: int,
        observe: Callable[[int, float], None] | None = None,
        *,
        upkeep: bool = True,
    ) -> None:
        check_partitions(partitions)
        self.partitions = partitions
        self._path = path
        self._writer: GroupCommit[Record] = GroupCommit(path, self._session, observe=observe)
        self._upkeep = Upkeep(path, self._trim, durable=False, active=upkeep)
        self._reader = Reader(path, lambda: _open(path, durable=False))
        self._gate = gate_of(path)
        self._watermark: dict[int, int] = {}
        self._saved_at = 0.0

    async def open(self) -> None:
        """Start the threads. A file that cannot be opened shows in `health`, not here.

        Raises:
            ConfigError: the file was made with another number of partitions.
        """
        with suppress(StoreUnavailableError):
            made_with = await self._reader.run(_partitions, self.partitions)
            if made_with != self.partitions:
                await self._reader.close()
                raise ConfigError(
                    _(
                        "The log was made with {made_with} partitions, not {partitions}."
                        " Set partitions = {made_with} again: events may be waiting in them."
                    ).format(made_with=made_with, partitions=self.partitions)
                )
        await self._writer.start_probing()
        self._upkeep.start()

    async def close(self) -> None:
        """Make durable what was appended, save the watermark, stop."""
        await self._writer.close()
        await asyncio.to_thread(self._upkeep.close)
        # What is lost of the watermark is only read again: a broken disk does not stop a stop.
        with suppress(StoreError):
            await self._reader.run(self._save_watermark)
        await self._reader.close()
        self._gate.close()

    async def identity(self) -> str:
        """See the port. A new file's offsets are above those of the one before: it is the same."""
        return "sqlite"

    def assigned(self) -> frozenset[int] | None:
        """See the port."""
        return None

    def append(self, record: Record) -> asyncio.Future[object]:
        """See the port."""
        return self._writer.submit(record, len(record.body))

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        self._writer.hand_over(record, len(record.body), receipt)

    @property
    def pending_bytes(self) -> int:
        """See the port."""
        return self._writer.pending_bytes

    async def wait(self, timeout_s: float) -> None:
        """Return when this process has made something durable, or after `timeout_s`.

        What other processes append is found by reading again after the timeout.
        """
        await self._writer.wait_committed(timeout_s)

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See the port."""
        return await self._reader.run(self._read, dict(after), events_max, bytes_max)

    async def commit(self, watermark: Mapping[int, int]) -> None:
        """See the port. Saved about once a second: what is lost of it is only read again."""
        self._watermark.update(watermark)
        if time.monotonic() - self._saved_at >= COMMIT_PERIOD_S:
            self._saved_at = time.monotonic()
            await self._reader.run(self._save_watermark)

    async def committed(self) -> dict[int, int]:
        """See the port."""
        return dict(await self._reader.run(every, _WATERMARKS))

    async def lag(self) -> int:
        """See the port."""
        return await self._reader.run(self._count_lag)

    async def room(self) -> Room:
        """See the port."""
        return await self._reader.run(room)

    def health(self) -> LogHealth:
        """See the port."""
        return LogHealth("sqlite", self._writer.error or self._upkeep.error)

    def _session(self) -> LogSession:
        return LogSession(self._path)

    def _read(
        self, connection: apsw.Connection, after: dict[int, int], events_max: int, bytes_max: int
    ) -> Batch:
        newest = one(connection, _LAST)[0]
        floor = min(after.values(), default=newest)
        if newest <= floor:
            return Batch((), dict.fromkeys(after, floor))
        entries: list[Entry] = []
        size = 0
        mask = sum(1 << partition for partition in after)
        number = 0
        # One row at a time: a row may be as large as a group commit.
        with closing(connection.cursor()) as rows:
            for last, count, row in rows.execute(_READ, (floor, newest, mask, ROWS_A_READ)):
                number += 1
                first = last - count + 1
                for index, record in _unpack(row, after):
                    if first + index > after[record.partition]:
                        entries.append(Entry(first + index, record))
                        size += len(record.body)
                if number == ROWS_A_READ or len(entries) >= events_max or size >= bytes_max:
                    return Batch(tuple(entries), _reached(after, last))
        return Batch(tuple(entries), _reached(after, newest))

    def _count_lag(self, connection: apsw.Connection) -> int:
        return int(one(connection, _LAG, (self._floor(connection),))[0])

    def _floor(self, connection: apsw.Connection) -> int:
        """What every partition is past. One that nobody has read yet keeps everything."""
        known, floor = one(connection, _FLOOR)
        return int(floor) if known >= self.partitions else 0

    def _save_watermark(self, connection: apsw.Connection) -> None:
        if not self._watermark:
            return
        with self._gate.turn(), transaction(connection):
            connection.executemany(_SAVE, list(self._watermark.items()))

    def _trim(self, connection: apsw.Connection, gate: Gate) -> None:
        floor = self._floor(connection)
        while floor:
            with gate.turn():
                connection.execute(_TRIM, (floor, ROWS_A_TRIM))
                if connection.changes() < ROWS_A_TRIM:
                    return


def _reached(after: Mapping[int, int], offset: int) -> dict[int, int]:
    return {partition: max(offset, own) for partition, own in after.items()}


def _unpack(row: bytes, wanted: Mapping[int, int]) -> Iterator[tuple[int, Record]]:
    try:
        yield from unpack(row, wanted)
    except msgspec.DecodeError as error:
        raise apsw.CorruptError(f"a row of the log: {error}") from error


def _partitions(connection: apsw.Connection, wanted: int) -> int:
    """How many partitions the file was made with; `wanted`, if it is new."""
    connection.execute("INSERT OR IGNORE INTO layout (id, partitions) VALUES (1, ?)", (wanted,))
    return int(one(connection, "SELECT partitions FROM layout")[0])


def _open(path: Path, *, durable: bool) -> apsw.Connection:
    connection = connect(path, durable=durable, page_bytes=PAGE_BYTES)
    try:
        migrate(connection, path, "comporta.log.schema", "")
    except BaseException:
        connection.close()
        raise
    return connection
