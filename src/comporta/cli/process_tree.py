"""What a process and its descendants use, as /proc tells it. It only reads."""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DISPATCH = b"comporta.dispatching"


class Usage(msgspec.Struct, frozen=True):
    """Of a gateway: CPU seconds so far, and memory now."""

    intake_s: float
    """Of its workers and their parent."""
    dispatch_s: float
    """Of its dispatch processes."""
    memory_bytes: int
    """Of all of them; pages that they share count once for each."""


def usage_of(pid: int) -> Usage:
    """Of the gateway whose first process this is."""
    every = _descendants(pid)
    dispatch = {one for one in every if _DISPATCH in _command_line(one)}
    memory = sum(int(stat[21]) for one in every if (stat := _stat(one))) * _PAGE_BYTES
    return Usage(_cpu_s(every - dispatch), _cpu_s(dispatch), memory)


def _descendants(pid: int) -> set[int]:
    numbers = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    parents = {number: int(stat[1]) for number in numbers if (stat := _stat(number))}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _cpu_s(pids: Iterable[int]) -> float:
    ticks = (int(stat[11]) + int(stat[12]) for pid in pids if (stat := _stat(pid)))
    return sum(ticks) / _TICKS_PER_S


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold anything; none if the process is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _command_line(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""
