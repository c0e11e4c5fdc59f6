"""What processes tell one another through the PostgreSQL ledger: the fleet, and nudges."""

from collections.abc import Collection

import msgspec

from comporta.clients.postgresql import Connection
from comporta.clock import now_ms
from comporta.domain.fleet import Fleet
from comporta.errors import ConflictError
from comporta.i18n import _
from comporta.ledger.port import LaneKey
from comporta.ledger.postgres.rows import columns
from comporta.ledger.sql import blocks

SQL = blocks("postgres")


def channel_of(schema: str) -> str:
    """Where a change of the fleet is told of."""
    return f"{schema}_fleet"


async def fleet_version(connection: Connection) -> int:
    """See the port."""
    return int(await connection.fetchval(SQL["fleet_version"]))


async def fleet(connection: Connection) -> Fleet:
    """See the port."""
    document = await connection.fetchval(SQL["fleet_document"])
    return Fleet() if document is None else msgspec.json.decode(document, type=Fleet)


async def replace_fleet(
    connection: Connection, fleet: Fleet, who: str, summary: str, channel: str
) -> None:
    """See the port. All who wait at the channel are told once it is committed."""
    document = msgspec.json.encode(fleet).decode()
    values = (fleet.version, document, now_ms(), who, summary)
    if await connection.fetchval(SQL["add_fleet"], *values) is None:
        raise ConflictError(_("Somebody else changed the fleet meanwhile. Try again."))
    await connection.fetchval(SQL["ring"], channel)


async def source_accounts(connection: Connection) -> dict[str, int]:
    """See the port."""
    return {row[0]: row[1] for row in await connection.fetch(SQL["source_accounts"])}


async def nudges(connection: Connection, after: int) -> tuple[int, list[LaneKey]]:
    """See the port."""
    if after < 0:
        return int(await connection.fetchval(SQL["last_nudge"])), []
    rows = await connection.fetch(SQL["nudges"], after)
    return (rows[-1][0] if rows else after), [LaneKey(*row[1:]) for row in rows]


async def nudge(connection: Connection, lanes: Collection[LaneKey], at_ms: int) -> None:
    """Have the owners of these lanes look at them again, once the transaction is committed.

    The last thing that a transaction does: until it ends, no other one can nudge. Numbers become
    visible in their order then, and nobody who reads on from the last one misses any.
    """
    if lanes:
        rows = [(lane.partition, lane.destination_id, lane.lane) for lane in lanes]
        await connection.fetchval(SQL["nudge_in_order"])
        await connection.execute(SQL["nudge"], *columns(rows, 3), at_ms)
