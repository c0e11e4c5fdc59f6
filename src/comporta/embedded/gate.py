"""Whose turn it is to write: a lock between processes, in which waiting costs nothing.

SQLite lets a second writer poll with growing sleeps, which makes the slowest request slow. A file
lock queues the writers in the kernel instead, and is freed by it when a process dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Gate:
    """One process's handle on a lock file. Not shared between threads: each opens its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, and hold it. Raises OSError where the lock file cannot be made."""
        file = self._open()
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def try_hold(self) -> bool:
        """Take the lock if it is free, and keep it until `close` or the process's end."""
        try:
            fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def gate_of(database: Path) -> Gate:
    """The gate before the writers of a database file."""
    return Gate(database.with_name(database.name + ".gate"))
