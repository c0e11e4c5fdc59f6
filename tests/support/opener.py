"""A process that opens the stores of a folder and uses each once: `python -m … FOLDER PARTITION`.

It waits for a line on its input first, so that many of them start at the same moment.
"""

import asyncio
import sys
from pathlib import Path

from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.log.sqlite import SqliteLog
from comporta.state.sqlite import SqliteState
from comporta.testing.conformance.records import record


async def main(folder: Path, partition: int) -> None:
    log = SqliteLog(folder / "log.db", 8)
    ledger = SqliteLedger(folder / "ledger.db")
    state = SqliteState(folder / "state.db")
    for store in (ledger, state, log):
        await store.open()
    await log.append(record(partition))
    await ledger.claim(partition, 1)
    await state.acquire(f"worker {partition}", range(8), 1, 60.0, 1_000)
    for store in (log, state, ledger):
        await store.close()


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
