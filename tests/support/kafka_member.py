"""A member of a Kafka log's group: `python -m … URL PARTITIONS`.

It reads whatever the group gives it from the start, and says a JSON line for each change of that,
and for each body that it has read, until it is ended.
"""

import asyncio
import json
import os
import sys

import structlog

from comporta.errors import StoreError
from comporta.log.kafka.log import KafkaLog

BODY_BYTES_MAX = 1 << 20


def say(**line: object) -> None:
    # One write of a whole line: a process that is killed leaves no half of one.
    os.write(1, json.dumps(line).encode() + b"\n")


async def main(url: str, partitions: int) -> None:
    log = KafkaLog(url, partitions, body_bytes_max=BODY_BYTES_MAX)
    await log.open()
    assigned: frozenset[int] | None = None
    after: dict[int, int] = {}
    while True:
        now = log.assigned()
        assert now is not None
        if now != assigned:
            assigned = now
            after = {partition: after.get(partition, 0) for partition in now}
            say(assigned=sorted(now))
        try:
            batch = await log.read(after, 100, 1 << 20)
        except StoreError as error:  # as dispatch does
            structlog.get_logger(__name__).warning("read.failed", error=str(error))
            await asyncio.sleep(0.1)
            continue
        for entry in batch.entries:
            say(read=entry.record.body.decode(), partition=entry.record.partition)
        after = batch.reached
        await log.wait(0.02)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
