"""Being told by PostgreSQL that something has changed (LISTEN), on a connection of its own.

It only saves looking: behind PgBouncer in transaction mode nobody is ever told, and while the
server is away neither. So whoever waits here waits for a while, and then looks.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from comporta.clients.postgresql import CONNECT_S, Address
from comporta.clients.postgresql_words import FAILURES

PAUSE_S = 2.0
"""Between two attempts to connect."""


class Bell:
    """Waits for one channel's notifications.

    Args:
        address: of the database.
        channel: a plain name.
    """

    def __init__(self, address: Address, channel: str) -> None:
        self._address, self._channel = address, channel
        self._rang = asyncio.Event()
        self._connection: Any = None
        self._next_at_s = 0.0

    async def wait(self, timeout_s: float) -> None:
        """Return when it rings, or may have rung unheard; at the latest after `timeout_s`.

        While it cannot connect, an attempt may take `CONNECT_S` longer.
        """
        if not self._listens and await self._connect():
            return  # it may have rung before
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rang.wait(), timeout_s)
        self._rang.clear()

    @property
    def _listens(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.terminate()

    async def _connect(self) -> bool:
        if time.monotonic() < self._next_at_s:
            return False
        self._next_at_s = time.monotonic() + PAUSE_S
        try:
            connection = await asyncpg.connect(
                self._address.dsn,
                timeout=CONNECT_S,
                command_timeout=CONNECT_S,
                statement_cache_size=0,
            )
        except FAILURES:
            return False  # whoever looks afterwards says what is wrong
        try:
            async with connection.transaction():
                await connection.add_listener(self._channel, self._ring)
        except FAILURES:
            connection.terminate()
            return False
        connection.add_termination_listener(self._ring)
        self._connection = connection
        return True

    def _ring(self, *_told: object) -> None:
        self._rang.set()
