"""Whether the events of a partition go to the broker or to the spool: a byte each, for a server.

All processes of a server map one small file, so a look costs nothing and every change is seen at
once. Changes are written to the file and not to the map: on a full disk that is an error, where the
other ends the process. The file need not outlive a power cut: who drains the spool sets all flags
first. It also counts what was spooled and sent on, for people.
"""

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path

from comporta.domain.partitioning import PARTITIONS_MAX

CLEAR, SET, SEEN = 0, 1, 2
"""To the broker; to the spool; to the spool, and whoever drains it has noticed."""
_NUMBERS = struct.Struct("<qQQ")
_SINCE_AT, _SPOOLED_AT, _SENT_AT = 64, 72, 80
_BYTES = 88
_UNKNOWN = bytes(_BYTES)


class Flags:
    """The flags of one server, as one process sees them.

    Args:
        path: the file; made by whoever needs it first.
        partitions: how many flags there are.
    """

    def __init__(self, path: Path, partitions: int) -> None:
        if partitions > PARTITIONS_MAX:
            raise ValueError(f"{partitions} flags: there is room for {PARTITIONS_MAX}")
        self.states: mmap.mmap | bytes = _UNKNOWN
        """Partition → CLEAR, SET or SEEN. All clear as long as the file cannot be opened."""
        self.partitions = partitions
        self.path = path
        self._file = -1

    def open(self) -> None:
        """Map the file, unless that is done.

        Raises:
            OSError: it cannot be made.
        """
        if self._file >= 0:
            return
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Zeros where there is nothing yet, with blocks of their own: else a full disk could end
            # who reads them. What another process has written meanwhile stays.
            os.posix_fallocate(file, 0, _BYTES)
            self.states = mmap.mmap(file, _BYTES, prot=mmap.PROT_READ)
        except OSError:
            os.close(file)
            raise
        self._file = file

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file, self.states = -1, _UNKNOWN

    @property
    def active(self) -> bool:
        """Whether any partition's events go to the spool."""
        return any(self.states[: self.partitions])

    @property
    def waiting(self) -> int:
        """How many events are spooled and not sent on yet, as far as is known."""
        _since, spooled, sent = self._numbers()
        return max(0, spooled - sent)

    @property
    def since_ms(self) -> int:
        """When the first of the flags was set, Unix ms; of no use while none is."""
        return self._numbers()[0]

    def trip(self, now_ms: int) -> None:
        """From now on, all events go to the spool.

        Raises:
            OSError: the file cannot be made or written.
        """
        self.open()
        if not self.active:
            os.pwrite(self._file, now_ms.to_bytes(8, "little"), _SINCE_AT)
        os.pwrite(self._file, bytes([SET]) * self.partitions, 0)

    def see(self) -> frozenset[int]:
        """Note, and return, the partitions whose flag was set since the last look."""
        fresh = frozenset(p for p in range(self.partitions) if self.states[p] == SET)
        for partition in fresh:
            os.pwrite(self._file, bytes([SEEN]), partition)
        return fresh

    def clear(self, partition: int) -> None:
        """Its events go to the broker again. A flag that was set a moment ago may get lost.

        That costs whoever set it a second try, for it looks again when it writes; see `file`.
        """
        os.pwrite(self._file, bytes([CLEAR]), partition)

    def count_spooled(self, events: int) -> None:
        """So many more are in the spool. Only with the gate of its file held."""
        self._add(_SPOOLED_AT, events)

    def count_sent(self, events: int) -> None:
        """So many more are sent on. Only by the one who drains it."""
        self._add(_SENT_AT, events)

    def spooled(self) -> int:
        """How many were ever spooled."""
        return self._numbers()[1]

    def recount(self, waiting: int, spooled: int) -> None:
        """So many were waiting when so many had been spooled. Only by the one who drains it."""
        # The counts only rise: what is sent is put where it makes the difference right.
        if waiting > spooled:
            self._add(_SPOOLED_AT, waiting - spooled)
        self._put(_SENT_AT, max(0, spooled - waiting))

    def _numbers(self) -> tuple[int, int, int]:
        since_ms, spooled, sent = _NUMBERS.unpack_from(self.states, _SINCE_AT)
        return since_ms, spooled, sent

    def _add(self, at: int, events: int) -> None:
        self._put(at, int.from_bytes(self.states[at : at + 8], "little") + events)

    def _put(self, at: int, number: int) -> None:
        # A disk that fails costs a count that is off until the spool is drained, and no event.
        with suppress(OSError):
            os.pwrite(self._file, number.to_bytes(8, "little"), at)
