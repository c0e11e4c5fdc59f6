"""Moves what one engine holds into another, while no gateway runs: nothing twice, nothing less.

What waits in a log is told by the ledger, which knows how far each partition was taken over. An
event leaves the old log only when the new one has confirmed it. A ledger is copied row by row, and
the old one stays as it is. A move that was interrupted is begun again: an event that was moved
already has the same id, and is known as a repeat; a row that was copied already is there.
"""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec

from comporta.domain.event import Record
from comporta.domain.partitioning import partition_of
from comporta.errors import ConflictError, FencedError
from comporta.i18n import _
from comporta.ledger.copying import TABLES, Copying, Table, Values
from comporta.ledger.port import Ledger
from comporta.log.port import Entry, Log

READ_EVENTS = 1024
READ_BYTES = 16 * 1024 * 1024
SETTLE_S = 15.0
"""For the old log to have forgotten what was moved."""
LOOK_S = 0.2


class Moved(msgspec.Struct, frozen=True):
    """What came of a move."""

    moved: int
    """Events that the old log had and the new one confirmed."""
    left: int
    """What the old log still counts: 0, or the move is not complete."""
    waiting: int
    """What the new log counts now; some engines count groups of events."""


async def move_log(
    source: Log, target: Log, ledger: Ledger, now_ms: int, tell: Callable[[int], None]
) -> Moved:
    """Move all that the ledger has not taken over from `source` to `target`, both opened.

    Args:
        source: emptied.
        target: may hold other events already; these come behind them.
        ledger: the gateway's; none may run on it, for its partitions are taken from it.
        now_ms: the clock, Unix milliseconds.
        tell: called with the number of events moved so far.

    Raises:
        ConflictError: both are the same log, or the counts do not agree at the end.
        StoreError: one of them does not answer; begin again, nothing is lost.
    """
    name = await source.identity()
    if name == await target.identity():
        said = _("Both URLs name the same log ({name}); there is nothing to move.")
        raise ConflictError(said.format(name=name))
    gone = await source.committed()
    positions = {
        p: max(await _offset(ledger, p, name, now_ms), gone.get(p, 0))
        for p in range(source.partitions)
    }
    moved = 0
    while True:
        batch = await source.read(positions, READ_EVENTS, READ_BYTES)
        for some in _in_order(batch.entries):
            await asyncio.gather(*[target.append(_copy(one, name, target)) for one in some])
            moved += len(some)
            tell(moved)
        await source.commit(batch.reached)
        if batch.reached == positions:
            break
        positions = batch.reached
    left = await _settled(source, positions)
    return Moved(moved, left, await target.lag())


async def _offset(ledger: Ledger, partition: int, log: str, token: int) -> int:
    """How far it was taken over; from now on nobody goes on with it."""
    try:
        return (await ledger.claim(partition, token, log)).offset
    except FencedError as error:  # the clock was set back
        return (await ledger.claim(partition, error.token + 1, log)).offset


def _in_order(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Rounds with one event of each conversation: a round that fails puts nothing out of order."""
    rounds: list[list[Entry]] = []
    seen: dict[tuple[str, str], int] = {}
    for entry in entries:
        lane = entry.record.instance_id, entry.record.subject
        number = seen[lane] = seen.get(lane, -1) + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(entry)
    return rounds


def _copy(entry: Entry, log: str, target: Log) -> Record:
    record = entry.record
    place = f"{log}\0{record.partition}\0{entry.offset}".encode()
    return msgspec.structs.replace(
        record,
        uid=record.uid or blake2b(place, digest_size=16).digest(),
        partition=partition_of(record.instance_id, record.subject, target.partitions),
    )


async def _settled(source: Log, positions: dict[int, int]) -> int:
    """What the old log still counts, once it has had time to forget."""
    left = await source.lag()
    for _look in range(int(SETTLE_S / LOOK_S)):
        if not left:
            break
        await asyncio.sleep(LOOK_S)
        await source.commit(positions)
        left = await source.lag()
    return left


class Copied(msgspec.Struct, frozen=True):
    """What came of copying one table: rows on both sides."""

    table: str
    source: int
    target: int


async def row_count(source: Copying) -> int:
    """How many rows there are to copy."""
    return sum([await source.row_count(table) for table in TABLES])


async def copy_ledger(
    source: Copying, target: Ledger, tell: Callable[[str, int], None]
) -> list[Copied]:
    """Copy a whole ledger.

    Args:
        source: stays as it is.
        target: opened, and not in use yet; a copy that was interrupted may be there.
        tell: called with the table and the number of rows copied so far.

    Raises:
        ConflictError: the target is in use, or the counts do not agree at the end.
        StoreError: one of them does not answer; begin again.
    """
    if await target.fleet_version():
        raise ConflictError(
            _("The target holds a ledger already. Name a database, or a schema, that is empty.")
        )
    done, copied = 0, []
    for table in TABLES:
        after: Values | None = None
        while rows := await source.rows(table, after):
            await target.copying.add_rows(table, rows)
            after = rows[-1][: len(table.key)]
            done += len(rows)
            tell(table.name, done)
        copied.append(await _compared(table, source, target.copying))
    return copied


async def _compared(table: Table, source: Copying, target: Copying) -> Copied:
    counts = Copied(table.name, await source.row_count(table), await target.row_count(table))
    if counts.source != counts.target:
        said = _(
            "The counts do not agree: {table} has {source} rows in the old ledger and {target} in"
            " the new one. Was one of them in use? Empty the new one, and move again."
        )
        raise ConflictError(
            said.format(table=table.name, source=counts.source, target=counts.target)
        )
    return counts


def check_alone(workers: int) -> None:
    """Refuse while a gateway runs.

    Raises:
        ConflictError: it does.
    """
    if workers:
        raise ConflictError(
            _(
                "A gateway is running ({workers} workers): what is moved would go on changing."
                " Stop it, and move again."
            ).format(workers=workers)
        )
