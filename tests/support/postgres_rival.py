"""A process that takes a partition from another again and again: `URL EVENTS NUMBER`.

It records the event after the last one as long as it is the owner, and writes the number of each
event that it was told of on standard output.
"""

import asyncio
import sys

from comporta.errors import FencedError
from comporta.ledger.postgres.ledger import PostgresLedger
from comporta.testing.conformance.ledger_stage import NOW_MS, new_event


async def main(url: str, events: int, number: int) -> None:
    ledger = PostgresLedger(url)
    await ledger.open()
    token = number
    while True:
        try:
            offset = (await ledger.claim(0, token)).offset
        except FencedError as error:
            token = error.token + (2 if error.token % 2 == number % 2 else 1)  # its own ones
            continue
        for _batch in range(3):
            if offset >= events:
                await ledger.close()
                return
            offset += 1
            recorded = await ledger.record({0: token}, [new_event(offset)], NOW_MS + offset)
            for delivery in recorded.deliveries:
                sys.stdout.write(delivery.body.decode().strip('{"n:}') + "\n")
            if recorded.fenced:
                break
        token += 2


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
