"""The backup of the operating page holds every event, whatever moves while it is made."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest
from tests.docs.pages import DOCS, fences

from comporta.ledger.port import EventFilter
from comporta.settings import Settings
from comporta.stores import Stores, Use, open_stores
from comporta.testing.conformance.ledger_stage import new_event
from comporta.testing.conformance.records import append_all, record, until

SCRIPT = fences(DOCS / "operating.md", "python")[0]
ORDER = re.compile(r'(?<=for name in \()"[^)]+"(?=\))')
NOW_MS = 1_795_500_000_000
TOKEN = 7
DEADLINE_S = 60


def settings_of(folder: Path) -> Settings:
    return Settings(data=folder, partitions=1)


def copied(data: Path, target: Path, names: Sequence[str]) -> None:
    """Run the page's script for some of its files."""
    these = "".join(f"{name}, " for name in names)
    script = target.with_suffix(".py")
    script.write_text(ORDER.sub(these, SCRIPT))
    subprocess.run([sys.executable, script, data, target], timeout=DEADLINE_S, check=True)


async def take_over(stores: Stores) -> None:
    """What dispatch does: into the ledger what it does not have, and let the log forget it."""
    claim = await stores.ledger.claim(0, TOKEN)
    batch = await stores.log.read({0: claim.offset}, 100, 1_000_000)
    events = [new_event(one.offset, one.record, targets=()) for one in batch.entries]
    await stores.ledger.record({0: TOKEN}, events, NOW_MS)
    await stores.log.commit(batch.reached)


async def events_in(stores: Stores) -> int:
    return len(await stores.ledger.events(EventFilter(limit=100)))


def rows_of_the_log(data: Path) -> int:
    file = apsw.Connection(str(data / "log.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return len(file.execute("SELECT last FROM log").fetchall())
    finally:
        file.close()


async def backed_up_in_the_middle(data: Path, halves: Sequence[Path], split: int) -> None:
    """Three events are acknowledged and taken over between the copies of two files."""
    names = ORDER.search(SCRIPT)[0].split(", ")  # type: ignore[index]
    async with open_stores(settings_of(data), use=Use.DISPATCH) as stores:
        for number in range(3):
            await append_all(stores.log, [record(body=b'{"n":%d}' % number)])
        await asyncio.to_thread(copied, data, halves[0], names[:split])
        await take_over(stores)

        async def forgotten() -> bool:  # all but the last row, which always stays
            return rows_of_the_log(data) == 1

        await until("the log has forgotten them", forgotten)
        await asyncio.to_thread(copied, data, halves[1], names[split:])


async def restored(data: Path) -> tuple[int, int]:
    """How many events there are once dispatch has worked, and after one more has come."""
    async with open_stores(settings_of(data)) as stores:
        await take_over(stores)
        before = await events_in(stores)
        await append_all(stores.log, [record(body=b'{"n":"new"}')])
        await take_over(stores)
        return before, await events_in(stores)


@pytest.mark.parametrize("split", [1, 2])
def test_what_was_acknowledged_before_a_backup_was_in_neither_copy(
    tmp_path: Path, split: int
) -> None:
    halves = (tmp_path / "first", tmp_path / "second")
    asyncio.run(backed_up_in_the_middle(tmp_path / "data", halves, split))
    whole = tmp_path / "restored"
    whole.mkdir()
    for half in halves:
        for file in half.iterdir():
            file.replace(whole / file.name)
    assert asyncio.run(restored(whole)) == (3, 4)
