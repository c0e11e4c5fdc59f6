"""A process that takes and gives back leases as fast as it can: `python -m … MAKER PLACE NAME`.

It prints `partition token` for each lease that it got.
"""

import asyncio
import sys
from pkgutil import resolve_name

from comporta.clock import now_ms
from comporta.state.port import State

PARTITIONS = 8
ROUNDS = 40


async def main(state: State, name: str) -> None:
    """Take and give back."""
    await state.open()
    for _ in range(ROUNDS):
        at_ms = now_ms()
        leases = await state.acquire(name, range(PARTITIONS), 3, 60.0, at_ms)
        for lease in leases:
            sys.stdout.write(f"{lease.partition} {lease.token}\n")
        await state.release(name, [lease.partition for lease in leases])
    await state.close()


if __name__ == "__main__":
    asyncio.run(main(resolve_name(sys.argv[1])(sys.argv[2]), sys.argv[3]))
