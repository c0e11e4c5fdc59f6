"""A worker that dispatches nothing says that it lives, so that others know of its server.

One that dispatches says so with its partitions. `comporta move` asks who lives before it touches a
log, and `/health` lists them.
"""

import asyncio
from collections.abc import Callable

import structlog

from comporta.errors import StoreUnavailableError
from comporta.state.port import State, WorkerRow
from comporta.telemetry.spells import Spell

BEATS_A_LEASE = 4
_log = structlog.get_logger(__name__)


async def keep_present(state: State, me: Callable[[], WorkerRow], lease_s: float) -> None:
    """Say it several times a lease, until cancelled; then be forgotten.

    Args:
        state: opened.
        me: the worker at the time of the call.
        lease_s: after how many seconds of silence it counts as gone.
    """
    spell = Spell(_log, "presence.not_told", "presence.told_again")
    try:
        while True:
            try:
                await state.beat(me(), lease_s)
                spell.worked()
            except StoreUnavailableError as error:
                spell.failed(error)
            await asyncio.sleep(lease_s / BEATS_A_LEASE)
    finally:
        try:
            await state.leave(me().id)
        except StoreUnavailableError as error:
            _log.warning("presence.not_ended", error=str(error))
