"""The ledger in PostgreSQL, shared by the gateways of many machines.

It delegates: to jobs of a transaction, each on the pool of its purpose. What people ask of it is in
`people`. A server that is away makes every call fail in words; nothing has to be done when
it is back.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from comporta.clients.postgresql import Connection
from comporta.clients.postgresql_bell import Bell
from comporta.clients.postgresql_database import Database
from comporta.domain.dedupe import DEFAULT_WINDOW_S
from comporta.domain.delivery import Delivery, Outcome
from comporta.domain.fleet import Fleet
from comporta.ledger.port import (
    EMBEDDED_LOG,
    REFILL_BYTES_MAX,
    Claim,
    LaneKey,
    NewEvent,
    Recorded,
)
from comporta.ledger.postgres import dispatch as work
from comporta.ledger.postgres import signals
from comporta.ledger.postgres.days import Days
from comporta.ledger.postgres.people import PostgresPeople
from comporta.ledger.postgres.recording import Recorder
from comporta.ledger.postgres.schema import migrate
from comporta.ledger.postgres.settling import Settler

T = TypeVar("T")


class PostgresLedger(PostgresPeople):
    """The `Ledger` port on a PostgreSQL database.

    Args:
        url: `postgresql://user:password@host:port/database`; options of the client may follow.
        window_s: within which a repeated event is not delivered again, seconds.
        observe: called after each batch that was recorded or settled with 1 and the seconds it
            took.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        window_s: float = DEFAULT_WINDOW_S,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self._database = Database(url, self._migrate)
        self._observe = observe
        schema = self._database.address.schema
        self._channel = signals.channel_of(schema)
        self._bell = Bell(self._database.address, self._channel)
        days = Days()
        super().__init__(self._database, days)
        self._recorder = Recorder(self._database.work, days, window_s)
        self._settler = Settler(self._database.work, days)

    @property
    def engine(self) -> str:
        """See the port."""
        return "postgresql"

    async def open(self) -> None:
        """See the port. One that is away fails whoever asks it something, not this.

        Raises:
            ConfigError: the server is too old, or would lose what it confirmed.
        """
        await self._database.open()

    async def _migrate(self, connection: Connection) -> None:
        address = self._database.address
        await migrate(connection, address.schema, address.where)

    async def close(self) -> None:
        """See the port."""
        await self._bell.close()
        await self._database.close()

    # The fleet

    async def fleet_version(self) -> int:
        """See the port."""
        return await self._database.watch.run(signals.fleet_version)

    async def fleet(self) -> Fleet:
        """See the port."""
        return await self._database.watch.run(signals.fleet)

    async def fleet_changed(self, timeout_s: float) -> None:
        """See the port. Behind PgBouncer in transaction mode nobody is told before the timeout."""
        await self._bell.wait(timeout_s)

    async def replace_fleet(self, fleet: Fleet, who: str, summary: str) -> None:
        """See the port."""
        await self._database.watch.run(signals.replace_fleet, fleet, who, summary, self._channel)

    # Dispatch

    async def claim(self, partition: int, token: int, log: str = EMBEDDED_LOG) -> Claim:
        """See the port."""
        return await self._database.work.run(work.claim, partition, token, log)

    async def record(
        self, tokens: Mapping[int, int], events: Sequence[NewEvent], now_ms: int
    ) -> Recorded:
        """See the port."""
        return await self._observed(self._recorder.record(tokens, events, now_ms))

    async def refill(
        self, lanes: Mapping[LaneKey, int], each_max: int, bytes_max: int = REFILL_BYTES_MAX
    ) -> list[Delivery]:
        """See the port."""
        return await self._database.work.run(work.refill, lanes, each_max, bytes_max)

    async def settle(
        self, tokens: Mapping[int, int], outcomes: Sequence[Outcome], now_ms: int
    ) -> frozenset[int]:
        """See the port."""
        return await self._observed(self._settler.settle(tokens, outcomes, now_ms))

    async def source_accounts(self) -> dict[str, int]:
        """See the port."""
        return await self._database.watch.run(signals.source_accounts)

    async def nudges(self, after: int) -> tuple[int, list[LaneKey]]:
        """See the port."""
        return await self._database.watch.run(signals.nudges, after)

    async def _observed(self, written: Awaitable[T]) -> T:
        began_s = time.perf_counter()
        result = await written
        if self._observe is not None:
            self._observe(1, time.perf_counter() - began_s)
        return result
