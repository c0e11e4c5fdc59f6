"""Refused requests on their way to the bounded ring that people can look at.

Best effort and off the path of events: what does not fit is counted by the metrics only.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

import structlog

from comporta.errors import StoreError
from comporta.state.port import Rejected, State

WAITING_MAX = 256
PERIOD_S = 0.5
HEADERS_MAX = 32
VALUE_CHARS_MAX = 256
MASK = "***"
_SECRET = ("authorization", "cookie", "x-api-key", "proxy-authorization", "api_access_token")
_log = structlog.get_logger(__name__)


def masked(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Headers as they may be kept: secrets masked, sizes bounded."""
    kept = []
    for name, raw in list(headers)[:HEADERS_MAX]:
        key = name.decode("latin-1")
        value = MASK if key in _SECRET else raw.decode("latin-1")[:VALUE_CHARS_MAX]
        kept.append((key[:VALUE_CHARS_MAX], value))
    return tuple(kept)


def masked_path(path: str) -> str:
    """`/webhook/secret` → `/webhook/***`."""
    head = path.strip("/").partition("/")
    return f"/{head[0]}/{MASK}" if head[2] else f"/{head[0]}"


class RejectedRing:
    """The queue of one worker.

    Args:
        state: where the ring is.
        keep: how many refused requests to keep, over all workers.
    """

    def __init__(self, state: State, keep: int) -> None:
        self._state, self._keep = state, keep
        self._waiting: deque[Rejected] = deque(maxlen=WAITING_MAX)

    def add(self, row: Rejected) -> None:
        """Keep it, soon."""
        if self._keep:
            self._waiting.append(row)

    async def run(self) -> None:
        """Write what was added until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(PERIOD_S)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write what was added."""
        if not self._waiting:
            return
        rows = list(self._waiting)
        self._waiting.clear()
        try:
            await self._state.reject(rows, self._keep)
        except StoreError as error:
            _log.warning("rejected.not_kept", error=str(error), count=len(rows))
