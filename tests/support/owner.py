"""Reads a log as its owner and prints what it reads: `python -m … MAKER PLACE PARTITIONS COMMITS`.

The first COMMITS entries are committed, and no more: the others are held when it is killed.
"""

import asyncio
import os
import sys
from pkgutil import resolve_name

import structlog

from comporta.log.port import Log
from comporta.testing.conformance.records import ALL_BYTES, ENOUGH


async def main(log: Log, partitions: list[int], commits: int) -> None:
    await log.open()
    after = dict.fromkeys(partitions, 0)
    seen = 0
    while True:
        batch = await log.read(after, ENOUGH, ALL_BYTES)
        for entry in batch.entries:
            seen += 1
            if seen <= commits:
                await log.commit({entry.record.partition: entry.offset})
        after = batch.reached
        # One write of whole lines: a process that is killed leaves no half of one.
        os.write(1, b"".join(entry.record.body + b"\n" for entry in batch.entries))
        await log.wait(0.05)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    maker, place, partitions, commits = sys.argv[1:]
    owned = [int(one) for one in partitions.split(",")]
    asyncio.run(main(resolve_name(maker)(place), owned, int(commits)))
