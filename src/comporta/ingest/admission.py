"""How much may be in memory at a time, and who waits when there is more.

Bodies that arrive in one piece are small and pass freely. Larger ones reserve their room first, so
that many of them at once wait for each other instead of filling the memory; the sweep of
`comporta.serving` ends the wait of those that would be too late.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

ROOM_WAIT_S = 4.0
"""Chatwoot gives up after 5 s: until then there is hope for room."""
ROOM_POLL_S = 0.01


class Admission:
    """The room of one worker.

    Args:
        bytes_max: the high-water mark, for what is being read and for what is not durable yet.
        pending_bytes: of the log: accepted and not durable yet.
    """

    def __init__(self, bytes_max: int, pending_bytes: Callable[[], int]) -> None:
        self._bytes_max, self._pending_bytes = bytes_max, pending_bytes
        self._reserved = 0
        self._turn = asyncio.Lock()

    @property
    def full(self) -> bool:
        """More waits to become durable than should."""
        return self._pending_bytes() > self._bytes_max

    async def room(self) -> bool:
        """Wait until it is not full; False if that takes too long."""
        deadline = asyncio.get_running_loop().time() + ROOM_WAIT_S
        while self.full:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(ROOM_POLL_S)
        return True

    @asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[None]:
        """Room for a large body of `size` bytes, while it is being read; in order of asking."""
        async with self._turn:  # or smaller ones would slip past a large one for ever
            while self._reserved and self._reserved + size > self._bytes_max:
                await asyncio.sleep(ROOM_POLL_S)
            self._reserved += size
        try:
            yield
        finally:
            self._reserved -= size
