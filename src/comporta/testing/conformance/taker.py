"""Calls as often as its share of a rate lets it: `python -m … MAKER PLACE PER_S SECONDS`.

It prints how many calls it was granted.
"""

import asyncio
import sys
import time
from pkgutil import resolve_name

from comporta.clock import now_ms
from comporta.domain.rate import Rate
from comporta.state.port import State

WANTED = 8
BURST = 10


async def main(state: State, per_s: float, seconds: float) -> None:
    """Call, and count."""
    await state.open()
    rate, granted = Rate(per_s, BURST), 0
    end_at = time.monotonic() + seconds
    while time.monotonic() < end_at:
        at_ms = now_ms()
        grant = await state.take("dst", rate, WANTED, at_ms)
        granted += grant.granted
        await asyncio.sleep(max(0.0, grant.next_at_ms - at_ms) / 1000)
    await state.close()
    sys.stdout.write(f"{granted}\n")


if __name__ == "__main__":
    maker, place, per_s, seconds = sys.argv[1:]
    asyncio.run(main(resolve_name(maker)(place), float(per_s), float(seconds)))
