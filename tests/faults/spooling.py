"""Processes that append through a spool, and what has to hold of what they acknowledged.

`python -m tests.faults.spooling MAKER PLACE NAME` is one of them: it prints what is durable, until
it is killed. It appends as a few hundred busy conversations do, and not as fast as it can.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from subprocess import Popen

from comporta.domain.event import Record
from comporta.errors import StoreUnavailableError
from comporta.log.port import Log
from comporta.log.spool.log import SpooledLog
from comporta.testing.conformance.appender import AT_A_TIME
from comporta.testing.conformance.children import running
from comporta.testing.conformance.records import ALL_BYTES, ENOUGH, opened, record, until

LANES = 64
PAUSE_S = 0.01
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
        with running(__name__, self._maker, self._place, f"w{self._count}") as child:
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
        """What the broker has, the first copy of each, once all that was acknowledged is there."""
        log: SpooledLog = resolve_name(self._maker)(self._place)
        wanted = set(self.acknowledged)
        found: dict[bytes, bytes] = {}
        reached = dict.fromkeys(range(log.partitions), 0)

        async def complete() -> bool:
            nonlocal reached
            try:
                batch = await log.read(reached, ENOUGH, ALL_BYTES)
            except StoreUnavailableError:  # a server that has just been started again
                return False
            for entry in batch.entries:
                found.setdefault(entry.record.uid, entry.record.body)
            reached = batch.reached
            await log.commit(reached)  # some engines bring only so much at a time
            return not log.active and not batch.entries and wanted <= set(found.values())

        async with opened(log):
            await until("all that was acknowledged is at the broker", complete, 60)
        return list(found.values())


def assert_in_order(bodies: Sequence[bytes]) -> None:
    """A writer appends a group when the one before is acknowledged: so groups are in order."""
    lanes: dict[tuple[str, int], list[int]] = {}
    for one in map(json.loads, bodies):
        lanes.setdefault((one["writer"], one["n"] % LANES), []).append(one["n"] // AT_A_TIME)
    for lane, groups in lanes.items():
        assert groups == sorted(groups), lane


def numbered(name: str, n: int, partitions: int) -> Record:
    """Event `n` of a writer."""
    lane = n % LANES
    body = b'{"writer":"%b","n":%d}' % (name.encode(), n)
    return record(lane % partitions, body, subject=f"conversation:{name}{lane}")


async def main(log: Log, name: str) -> None:
    """Append, and print what is durable."""
    await log.open()
    for first in range(0, sys.maxsize, AT_A_TIME):
        group = [numbered(name, n, log.partitions) for n in range(first, first + AT_A_TIME)]
        await asyncio.gather(*[log.append(one) for one in group])
        # One write of whole lines: a process that is killed leaves no half of one.
        os.write(1, b"".join(one.body + b"\n" for one in group))
        await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    asyncio.run(main(resolve_name(sys.argv[1])(sys.argv[2]), sys.argv[3]))
