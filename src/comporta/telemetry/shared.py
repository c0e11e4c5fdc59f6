"""How the workers of one server see each other's numbers: one small file each, replaced whole.

prometheus-client's own way, memory-mapped files, is not used: on a full disk the first write to a
new page kills the process (SIGBUS), and a gateway has to live through a full disk. A file that
cannot be written here costs a stale number. All workers of a server have the same parent process,
so its pid and start time name their folder; a restart of the server begins at zero, as counters
may.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from comporta.telemetry.metric_defs import METRICS, Merge

Numbers = dict[str, list[tuple[tuple[str, ...], list[float]]]]
"""Metric name → its series: label values, and one number (or, for a histogram, its bucket counts
followed by the sum of the values; or, for the latest value, when it was set)."""

_MERGES = {one.name: one.merge for one in METRICS}
LOCK_WAIT_S = 0.5
_SUFFIX = ".worker"
_RETIRED = "retired"
_LOCK = "lock"


class _Retired(msgspec.Struct, array_like=True):
    """What dead workers counted. `names`: whose files are in it, until those are gone too."""

    names: list[str] = []
    numbers: Numbers = {}


def started(pid: int) -> str:
    """When a process started, as the kernel counts it; "0" where that is unknown, "" if dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return "0" if not Path("/proc/self/stat").exists() and _answers(pid) else ""
    except OSError:
        return "0"
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def identity(pid: int) -> str:
    """A name for a process that is never given twice on one machine."""
    return f"{pid}-{started(pid) or 0}"


def lives(name: str) -> bool:
    """Whether the process with this `identity` still runs."""
    pid, _, start = name.partition("-")
    return pid.isdigit() and started(int(pid)) == start


def add(into: Numbers, more: Mapping[str, list[tuple[tuple[str, ...], list[float]]]]) -> None:
    """Bring `more` into `into`, series by series, each metric by its `merge`."""
    for name, series in more.items():
        merge = _MERGES.get(name, Merge.SUM)
        known = dict(into.setdefault(name, []))
        for labels, values in series:
            have = known.get(labels)
            if have is None:
                into[name].append((labels, list(values)))
            elif len(have) == len(values):  # else: a worker of another version, other buckets
                have[:] = _merged(merge, have, values)


def _merged(merge: Merge, one: list[float], other: list[float]) -> list[float]:
    match merge:
        case Merge.SUM:
            return list(map(float.__add__, map(float, one), map(float, other)))
        case Merge.MAX:
            return list(map(max, one, other))
        case Merge.LATEST:
            return max(one, other, key=lambda values: (values[-1], values[0]))


class SharedFolder:
    """The folder of one server's workers. Every method may raise `OSError`.

    Args:
        root: where the folders of all servers are; created if it is missing.
        server: `identity` of the parent process.
        worker: `identity` of this process.
        mortal: names of metrics that end with their worker (its share of a sum that is a gauge);
            all others outlive it.
    """

    def __init__(self, root: Path, server: str, worker: str, mortal: frozenset[str]) -> None:
        self._root, self._folder, self._mortal = root, root / server, mortal
        self._own = self._folder / f"{worker}{_SUFFIX}"

    def open(self) -> None:
        """Make the folder, and remove those of servers that are gone."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in self._root.iterdir():
            if other != self._folder and not lives(other.name):
                shutil.rmtree(other, ignore_errors=True)

    def publish(self, numbers: Numbers) -> None:
        """Replace what the others see of this worker."""
        _replace(self._own, msgspec.msgpack.encode(numbers))

    def others(self) -> Numbers:
        """The sum over all other workers, dead ones included (but for their gauges)."""
        total: Numbers = {}
        with self._locked() as locked:
            retired = self._retired()
            add(total, retired.numbers)
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                if path == self._own or path.name in retired.names:
                    continue
                numbers = _read(path)
                if not lives(path.name.removesuffix(_SUFFIX)):
                    numbers = {k: v for k, v in numbers.items() if k not in self._mortal}
                    if locked:
                        self._retire(retired, path, numbers)
                add(total, numbers)
        return total

    def _retire(self, retired: _Retired, path: Path, numbers: Numbers) -> None:
        """Move a dead worker's numbers to the common file; a crash counts nothing twice."""
        retired.names = [name for name in retired.names if (self._folder / name).exists()]
        retired.names.append(path.name)
        add(retired.numbers, numbers)
        _replace(self._folder / _RETIRED, msgspec.msgpack.encode(retired))
        path.unlink(missing_ok=True)

    def _retired(self) -> _Retired:
        try:
            return msgspec.msgpack.decode((self._folder / _RETIRED).read_bytes(), type=_Retired)
        except (FileNotFoundError, msgspec.DecodeError):
            return _Retired([], {})

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the folder's lock; False if another worker has it longer than `LOCK_WAIT_S`."""
        deadline = time.monotonic() + LOCK_WAIT_S
        with (self._folder / _LOCK).open("ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() < deadline:
                        time.sleep(0.01)
                        continue
                    yield False
                else:
                    yield True
                return


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Numbers:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Numbers)
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
