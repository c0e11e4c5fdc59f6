"""Opening a SQLite file the way durability needs it, and saying in words what is wrong with one.

Every file is in WAL mode with `synchronous=FULL` unless it holds nothing that must outlive a power
cut. Checkpoints never run on a writer's connection: see `upkeep`.
"""

import errno
import os
from contextlib import closing
from pathlib import Path

import apsw

from comporta.embedded.gate import gate_of
from comporta.errors import StoreUnavailableError, UnsafeSqliteError
from comporta.i18n import _

BUSY_TIMEOUT_MS = 10_000
_SAFE = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""First releases of each line without the WAL-reset race (https://sqlite.org/wal.html)."""

BROKEN = (
    apsw.FullError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.PermissionsError,
    apsw.AuthError,
    apsw.NoLFSError,
    apsw.ProtocolError,
    apsw.SchemaChangeError,
)
"""What SQLite raises when the file, and not the caller, is at fault."""

_KINDS: dict[int, type[apsw.Error]] = {
    errno.ENOSPC: apsw.FullError,
    errno.EDQUOT: apsw.FullError,
    errno.EROFS: apsw.ReadOnlyError,
    errno.EACCES: apsw.PermissionsError,
    errno.EPERM: apsw.PermissionsError,
    errno.ENOENT: apsw.CantOpenError,
    errno.ENOTDIR: apsw.CantOpenError,
    errno.EIO: apsw.IOError,
}
"""What SQLite would call what the system says."""


def check_library(version: str) -> None:
    """Refuse a SQLite that can lose commits when several connections write and checkpoint.

    Raises:
        UnsafeSqliteError: with the version found and the version needed.
    """
    found = tuple(int(part) for part in version.split(".")[:3])
    for safe in _SAFE:
        if found[:2] == safe[:2]:
            if found >= safe:
                return
            break
    else:
        if found > _SAFE[-1]:
            return
    raise UnsafeSqliteError(
        _(
            "SQLite {version} can lose committed events when several workers share a file."
            " Install apsw 3.51.3 or newer: pip install -U apsw"
        ).format(version=version)
    )


def connect(path: Path, *, durable: bool = True, page_bytes: int = 4096) -> apsw.Connection:
    """Open (and create) a file for reading and writing.

    Args:
        path: the file; its folder must exist.
        durable: False for state that need not outlive a power cut.
        page_bytes: used when the file is new.

    Raises:
        apsw.Error: as SQLite has it; see `explain`.
        OSError: the file cannot be made.
    """
    # Made by us, so that only we can read it; SQLite gives its other files the same rights.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # In turn: SQLite does not wait for another process that turns a new file to WAL.
        with closing(gate_of(path)) as gate, gate.turn():
            _set_up(connection, durable=durable, page_bytes=page_bytes)
    except (apsw.Error, OSError):
        connection.close()
        raise
    return connection


def _set_up(connection: apsw.Connection, *, durable: bool, page_bytes: int) -> None:
    for pragma in (
        f"page_size={page_bytes}",
        # Only before a file has its first page; one without it uses free pages again.
        "auto_vacuum=INCREMENTAL",
        "journal_mode=WAL",
        f"synchronous={'FULL' if durable else 'NORMAL'}",
        "wal_autocheckpoint=0",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-16000",
        f"journal_size_limit={256 * 1024 * 1024}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def explain(error: apsw.Error | OSError, path: Path) -> str:
    """What happened, to which file, and what to do, in a sentence."""
    if isinstance(error, OSError):
        kind = _KINDS.get(error.errno or 0)
        if kind is None:
            text = _("{path} cannot be used: {error}. Check the disk; it goes on by itself.")
            return text.format(path=path, error=error.strerror or error)
        error = kind(error.strerror)
    if isinstance(error, apsw.FullError):
        text = _("The disk that holds {path} is full. Free some space; it goes on by itself.")
    elif isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError):
        text = _("{path} cannot be written to. Check its permissions; it goes on by itself.")
    elif isinstance(error, apsw.CorruptError | apsw.NotADBError):
        text = _("{path} is damaged. Put it aside and restore a copy; see `comporta doctor`.")
    elif isinstance(error, apsw.CantOpenError):
        text = _("{path} cannot be opened. Check that its folder exists and may be written to.")
    elif isinstance(error, apsw.BusyError | apsw.LockedError):
        text = _("{path} is locked by another program. End that program; it goes on by itself.")
    elif isinstance(error, apsw.IOError):
        text = _("The disk that holds {path} fails to read or write. Check it; it retries.")
    else:
        text = _("{path} cannot be used.")
    return f"{text.format(path=path)} ({error})"


def unavailable(error: apsw.Error | OSError, path: Path) -> StoreUnavailableError:
    """The error to raise where SQLite or the system raised `error`."""
    return StoreUnavailableError(explain(error, path))
