"""Processes that append through a spool, and what has to hold of what they acknowledged."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from subprocess import Popen

from comporta.log.spool import SpooledLog
from comporta.testing.conformance import appender
from comporta.testing.conformance.appender import AT_A_TIME, PARTITIONS
from comporta.testing.conformance.children import running
from comporta.testing.conformance.records import opened, read_all, until

STUCK_S = 30.0


class Appenders:
    """Processes that append, and what they printed as acknowledged.

    Args:
        maker: `module:function` that makes a `SpooledLog` from a place.
        place: what it is given.
    """

    def __init__(self, maker: str, place: str) -> None:
        self.acknowledged: list[bytes] = []
        self._maker, self._place = maker, place
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[Popen[bytes]]:
        """Another process, until the end of the block or until it is killed."""
        self._count += 1
        name = f"w{self._count}"
        with running(appender.__name__, self._maker, self._place, name, "0") as child:
            listener = threading.Thread(target=self._listen, args=(child,))
            listener.start()
            try:
                yield child
            finally:
                child.kill()
                listener.join()

    def _listen(self, child: Popen[bytes]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(b"{"):  # and not a line of a log for people
                self.acknowledged.append(line.strip())

    def go_on(self, events: int) -> None:
        """Wait until so many more are acknowledged."""
        until_count = len(self.acknowledged) + events
        ends_at = time.monotonic() + STUCK_S
        while len(self.acknowledged) < until_count:
            assert time.monotonic() < ends_at, "nothing is acknowledged any more"
            time.sleep(0.005)

    async def at_the_broker(self) -> list[bytes]:
        """What the broker has once the spool is sent on, the first copy of each."""
        log: SpooledLog = resolve_name(self._maker)(self._place)
        async with opened(log):

            async def clear() -> bool:
                return not log.active and not log.waiting

            await until("the spool is sent on", clear, within_s=60)
            found: dict[bytes, bytes] = {}
            for entry in await read_all(log):
                found.setdefault(entry.record.uid, entry.record.body)
            return list(found.values())


def assert_in_order(bodies: Sequence[bytes]) -> None:
    """A writer appends a group when the one before is acknowledged: so groups are in order."""
    lanes: dict[tuple[str, int], list[int]] = {}
    for one in map(json.loads, bodies):
        lanes.setdefault((one["writer"], one["n"] % PARTITIONS), []).append(one["n"] // AT_A_TIME)
    for lane, groups in lanes.items():
        assert groups == sorted(groups), lane
