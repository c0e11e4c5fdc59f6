"""Checkpoints, giving space back, and other slow work on a SQLite file, away from the writers.

SQLite's checkpoint, not its commit, makes the tail of latencies: so it has a thread and a
connection of its own, in one process at a time (whoever holds the upkeep lock). Most of the copying
happens while writers go on; only what is left is copied with the gate held, so that the WAL starts
anew and stays bounded.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from comporta.embedded.connection import connect, explain
from comporta.embedded.gate import Gate, gate_of
from comporta.embedded.rows import one

PERIOD_S = 0.25
INCREMENTAL = 2
"""What SQLite calls an `auto_vacuum` that is done in steps."""
WAL_BYTES_MAX = 64 * 1024 * 1024
"""Beyond this the WAL is copied into the file and starts anew; a long reader can make it larger.
Seldom, for a page that changes often is copied once; and the WAL is never cut, for writing over old
blocks is synced without the file system's journal.
"""
SPARE_BYTES = 4 * 1024 * 1024
SPARE_PART = 8
"""Free pages that are kept for what comes next: so many bytes, and this part of the file."""
GIVE_BACK_BYTES = 256 * 1024
"""Given back in one step, while writers wait."""
GIVE_BACK_STEPS = 8
"""In each `PERIOD_S`."""
READER_PATIENCE_MS = 50
"""How long writers may wait for a reader that keeps the WAL from starting anew."""


class Upkeep:
    """The upkeep thread of one file in one process.

    Args:
        path: the database file.
        chore: more slow work, called about every `PERIOD_S` with the connection and the gate, while
            this process holds the upkeep lock.
        durable: as for `connect`.
        active: False: another process does it; starting and closing do nothing.
    """

    def __init__(
        self,
        path: Path,
        chore: Callable[[apsw.Connection, Gate], None] | None = None,
        *,
        durable: bool = True,
        active: bool = True,
    ) -> None:
        self.error = ""
        self._path = path
        self._chore = chore
        self._durable = durable
        self._active = active
        self._page_bytes = 4096
        self._giving = False
        self._frames_max = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{path.name} upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        if self._active:
            self._thread.start()

    def close(self) -> None:
        """Stop; blocks until the step under way is done."""
        self._stop.set()
        if self._active:
            self._thread.join()

    def _run(self) -> None:
        role = Gate(self._path.with_name(self._path.name + ".upkeep"))
        gate = gate_of(self._path)
        connection: apsw.Connection | None = None
        inode = 0
        while not self._stop.wait(PERIOD_S):
            try:
                if not role.try_hold():
                    continue
                found = self._path.stat().st_ino
                if connection is None or found != inode:
                    connection, inode = self._reopen(connection), found
                self._step(connection, gate)
                self.error = ""
            except (apsw.Error, OSError) as error:
                self.error = explain(error, self._path)
                self._drop(connection)
                connection = None
        self._drop(connection)
        gate.close()
        role.close()

    def _reopen(self, connection: apsw.Connection | None) -> apsw.Connection:
        self._drop(connection)
        fresh = connect(self._path, durable=self._durable)
        fresh.set_busy_timeout(READER_PATIENCE_MS)
        self._page_bytes = int(one(fresh, "PRAGMA page_size")[0])
        self._frames_max = WAL_BYTES_MAX // self._page_bytes
        return fresh

    def _drop(self, connection: apsw.Connection | None) -> None:
        if connection is not None:
            connection.close()

    def _step(self, connection: apsw.Connection, gate: Gate) -> None:
        if self._chore is not None:
            self._chore(connection, gate)
        if self._give_back(connection, gate):
            # The file itself shrinks when what was moved is copied into it.
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        frames, _copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        if frames <= self._frames_max:
            return
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        with gate.turn():
            # Readers that are still on old pages make this Busy: the next round tries again.
            try:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            except apsw.BusyError:
                return

    def _give_back(self, connection: apsw.Connection, gate: Gate) -> bool:
        """Cut free pages off the end of the file, if there are many; whether that is done now."""
        for _step in range(GIVE_BACK_STEPS):
            surplus = _surplus(connection)
            # It begins at twice what stays, so that it does not begin again all the time.
            if surplus <= (0 if self._giving else 1):
                done, self._giving = self._giving, False
                return done
            self._giving = True
            with gate.turn():
                pages = GIVE_BACK_BYTES // self._page_bytes
                connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
        return False


def _surplus(connection: apsw.Connection) -> float:
    """Free pages beyond what stays for the next writes, as a part of that: 1 is twice as many."""
    if not gives_back(connection):
        return 0
    page_bytes, pages, free = (
        int(one(connection, f"PRAGMA {name}")[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return free / max(SPARE_BYTES // page_bytes, pages // SPARE_PART) - 1


def gives_back(connection: apsw.Connection) -> bool:
    """Whether the file was made such that it can shrink."""
    return bool(one(connection, "PRAGMA auto_vacuum")[0] == INCREMENTAL)
