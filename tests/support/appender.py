"""A process that appends to a log and says which records are durable: `python -m … PATH NAME N`.

Its lines are the acknowledgements: what was printed may never be lost. N = 0: until it is killed.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.support.records import record

from comporta.log.sqlite import SqliteLog

PARTITIONS = 4
AT_A_TIME = 8


async def main(path: Path, name: str, count: int) -> None:
    log = SqliteLog(path, PARTITIONS)
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
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
