"""A process that calls as often as its share of a rate lets it: `python -m … PATH PER_S SECONDS`.

It prints how many calls it was granted.
"""

import asyncio
import sys
import time
from pathlib import Path

from comporta.domain.rate import Rate
from comporta.state.sqlite import SqliteState

WANTED = 8
BURST = 10


async def main(path: Path, per_s: float, seconds: float) -> None:
    state = SqliteState(path)
    await state.open()
    rate, granted = Rate(per_s, BURST), 0
    end_at = time.monotonic() + seconds
    while time.monotonic() < end_at:
        now_ms = time.time_ns() // 1_000_000
        grant = await state.take("dst", rate, WANTED, now_ms)
        granted += grant.granted
        await asyncio.sleep(max(0.0, grant.next_at_ms - now_ms) / 1000)
    await state.close()
    sys.stdout.write(f"{granted}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
