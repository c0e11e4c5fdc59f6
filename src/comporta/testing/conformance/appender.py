"""Appends to a log and prints which records are durable: `python -m … MAKER PLACE NAME N`.

Its lines are the acknowledgements: what was printed may never be lost. N = 0: until it is killed.
"""

import asyncio
import os
import sys
from pkgutil import resolve_name

import structlog

from comporta.log.port import Log
from comporta.testing.conformance.records import record

PARTITIONS = 4
AT_A_TIME = 8


async def main(log: Log, name: str, count: int) -> None:
    """Append, and print what is durable."""
    await log.open()
    number = 0
    while not count or number < count:
        group = range(number, number + AT_A_TIME)
        number += AT_A_TIME
        bodies = [b'{"writer":"%b","n":%d}' % (name.encode(), n) for n in group]
        await asyncio.gather(
            *[
                log.append(record(n % PARTITIONS, body))
                for n, body in zip(group, bodies, strict=True)
            ]
        )
        # One write of whole lines: a process that is killed leaves no half of one.
        os.write(1, b"".join(body + b"\n" for body in bodies))
    await log.close()


if __name__ == "__main__":
    # What a log has to say is no acknowledgement.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    maker, place, name, count = sys.argv[1:]
    asyncio.run(main(resolve_name(maker)(place), name, int(count)))
