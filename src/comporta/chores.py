"""What one process of all servers does beside dispatching: retention, and samples of growth.

Which one is a lease (`duty.py`). A store that fails costs a round, said in the log, and never the
process.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from comporta.clock import now_ms
from comporta.domain.growth import is_due
from comporta.errors import StoreError
from comporta.ledger.retention import DAY_MS, ROUND_MS, Limit, Limits, Retention
from comporta.settings import Settings
from comporta.stores import Stores, sample_of

PERIOD_S = 5.0
REJECTED_STEP, REJECTED_REST_S = 500, 0.02
"""Leases and rates wait meanwhile: they are in the same file."""
_log = structlog.get_logger(__name__)


class Chores:
    """The chores of a gateway.

    Args:
        settings: what to keep.
        stores: where.
        mine: whether this process does them.
    """

    def __init__(self, settings: Settings, stores: Stores, mine: Callable[[], bool]) -> None:
        self._settings, self._stores, self._mine = settings, stores, mine
        self._retention = Retention(
            stores.ledger, stores.ledger.keeping, limits_of(settings), now_ms, mine
        )
        self._rejected_at_ms = 0

    async def run(self) -> None:
        """Do them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for chore in (self._retention.round, self._forget_rejected, self._sample):
                tasks.create_task(self._again_and_again(chore))

    async def _again_and_again(self, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            if not self._mine():
                continue
            try:
                await chore()
            except (StoreError, OSError) as error:
                _log.error("chore.failed", chore=chore.__name__, error=str(error))

    async def _forget_rejected(self) -> None:
        if now_ms() - self._rejected_at_ms < ROUND_MS:
            return
        before_ms = now_ms() - self._settings.keep_rejected_days * DAY_MS
        while await self._stores.state.forget_rejected(before_ms, REJECTED_STEP):
            await asyncio.sleep(REJECTED_REST_S)
        self._rejected_at_ms = now_ms()

    async def _sample(self) -> None:
        keeping = self._stores.ledger.keeping
        if not is_due(await keeping.samples(), now_ms()):
            return
        await keeping.add_sample(await sample_of(self._settings, self._stores, now_ms()))


def limits_of(settings: Settings) -> Limits:
    """What the settings say about retention."""
    return Limits(
        bodies=Limit(settings.keep_bodies_days, settings.keep_bodies_mib),
        attempts=Limit(settings.keep_attempts_days, settings.keep_attempts_mib),
        events=Limit(settings.keep_events_days, settings.keep_events_mib),
        dead=Limit(settings.keep_dead_days, settings.keep_dead_mib),
    )
