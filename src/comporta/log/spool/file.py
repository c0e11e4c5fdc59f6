"""Where spooled events lie: an embedded log of this server, and the flags that lead to it.

Flags and file are kept in step by the gate, behind which all writers of the file queue. Who writes
looks at the flags once more, with the gate held, and passes back what belongs to the broker by now;
who clears a flag does so with the gate held, and only if nothing of its partition is left. So
nothing is ever left behind in the spool while newer events go to the broker.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from comporta.domain.event import Record
from comporta.embedded.room import room
from comporta.embedded.rows import every, one
from comporta.errors import StoreUnavailableError
from comporta.i18n import _
from comporta.log.spool.flags import SEEN, Flags
from comporta.log.sqlite import LogSession, SqliteLog

PASSED_BACK = "passed back"
"""The result of an append that the spool did not take: its partition's flag is cleared."""
_LEFT = "SELECT EXISTS (SELECT 1 FROM log WHERE last > ? AND mask & ? != 0)"
_NEWEST = "SELECT coalesce(max(last), 0) FROM log"
_WATERMARKS = "SELECT partition, offset FROM watermarks"
_WAITING = "SELECT coalesce(sum(count), 0) FROM log WHERE last > ?"


class SpoolFile(SqliteLog):
    """The spool of one server, as one process sees it: a log whose appends may be passed back.

    Args:
        folder: holds `spool.db` and `spool.flags`; must exist.
        partitions: as many as the broker has.
        bytes_max: beyond so many stored bytes appends are refused; a group more can get in.
        upkeep: whether this process takes part in trimming and checkpoints.
        observe: see `SqliteLog`.
    """

    def __init__(
        self,
        folder: Path,
        partitions: int,
        *,
        bytes_max: int,
        upkeep: bool = True,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        super().__init__(folder / "spool.db", partitions, observe, upkeep=upkeep)
        self.flags = Flags(folder / "spool.flags", partitions)
        self.lock_path = folder / "spool.lock"
        self.full = ""
        """Why nothing more is taken, in a sentence; "" while there is room."""
        self._bytes_max = bytes_max

    async def open(self) -> None:
        """See `SqliteLog.open`."""
        with suppress(OSError):  # a disk that is full: `look` tries again
            self.flags.open()
        await super().open()

    async def close(self) -> None:
        """See `SqliteLog.close`."""
        await super().close()
        self.flags.close()

    async def look(self) -> None:
        """See whether what was wrong is over; about once a second."""
        with suppress(OSError, StoreUnavailableError):  # `health` tells
            self.flags.open()
            if self.full:
                self.judge((await self.room()).used_bytes)

    def judge(self, used_bytes: int) -> str:
        """Whether it is full; `full`."""
        self.full = ""
        if used_bytes >= self._bytes_max:
            said = _(
                "The spool is full ({mib} MiB in {path}), and the log's server does not take its"
                " events. Bring that server back, or raise spool_mib."
            )
            self.full = said.format(mib=self._bytes_max >> 20, path=self._path)
        return self.full

    async def watermark(self) -> dict[int, int]:
        """Partition → the offset up to which its events are sent on, as it was saved."""
        saved = await self._reader.run(_watermarks)
        return dict.fromkeys(range(self.partitions), 0) | saved

    async def recount(self, watermark: Mapping[int, int]) -> None:
        """Count anew what waits, for the counts do not survive everything that events survive."""
        spooled = self.flags.spooled()
        waiting = await self._reader.run(_waiting, min(watermark.values()))
        self.flags.recount(waiting, spooled)

    async def clear(self, watermark: Mapping[int, int]) -> None:
        """Clear the flags of those partitions that have nothing beyond these offsets.

        A flag that was set since it was last seen stays.

        Raises:
            StoreUnavailableError: nobody knows what is in the file.
        """
        await self._reader.run(self._clear, watermark)

    def _clear(self, connection: apsw.Connection, watermark: Mapping[int, int]) -> None:
        flags = self.flags
        with self._gate.turn():
            for partition, offset in watermark.items():
                if flags.states[partition] == SEEN and not _left(connection, partition, offset):
                    flags.clear(partition)
            if not flags.active:
                flags.recount(0, flags.spooled())

    def _session(self) -> LogSession:
        return _Session(self, self._path)


class _Session(LogSession):
    """Writes what the flags, and the room that is left, allow. Runs with the gate held."""

    def __init__(self, spool: SpoolFile, path: Path) -> None:
        super().__init__(path)
        self._spool = spool

    def write(self, records: Sequence[Record]) -> list[object]:
        if not records:
            return super().write(records)
        states = self._spool.flags.states[:]
        mine = [record for record in records if states[record.partition]]
        results: list[object] = [
            None if states[record.partition] else PASSED_BACK for record in records
        ]
        if mine and self._spool.judge(room(self.connection).used_bytes):
            return [self._refusal() if one is None else one for one in results]
        if mine:
            super().write(mine)
            self._spool.flags.count_spooled(len(mine))
        return results

    def _refusal(self) -> StoreUnavailableError:
        return StoreUnavailableError(self._spool.full)


def _watermarks(connection: apsw.Connection) -> dict[int, int]:
    return {int(partition): int(offset) for partition, offset in every(connection, _WATERMARKS)}


def _waiting(connection: apsw.Connection, floor: int) -> int:
    return int(one(connection, _WAITING, (floor,))[0])


def _left(connection: apsw.Connection, partition: int, offset: int) -> bool:
    return bool(one(connection, _LEFT, (offset, 1 << partition))[0])
