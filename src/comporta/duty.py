"""What one process does for all servers: who does it is a lease in the state, as for a partition.

The holder renews it several times a lease, and stops when it cannot: so nobody does it for a lease
at most, and no two for longer than that. There is no fencing token: a duty has to be something that
does no harm when two begin it.
"""

import asyncio
import secrets
import time
from collections.abc import Callable

import structlog

from comporta.errors import StoreUnavailableError
from comporta.state.port import State
from comporta.telemetry.spells import Spell

BEATS_A_LEASE = 4
_log = structlog.get_logger(__name__)


class Duty:
    """This process's part in a duty.

    Args:
        state: opened.
        name: of the duty.
        lease_s: after how many seconds of silence another one takes over.
        now_ms: the clock, Unix milliseconds.
    """

    def __init__(self, state: State, name: str, lease_s: float, now_ms: Callable[[], int]) -> None:
        self._state, self._name, self._lease_s, self._now_ms = state, name, lease_s, now_ms
        self._me = f"dty_{secrets.token_hex(5)}"
        self._mine_until = 0.0
        self._was_mine = False

    @property
    def mine(self) -> bool:
        """Whether this process has it now."""
        return time.monotonic() < self._mine_until

    @property
    def was_mine(self) -> bool:
        """Whether it was this process's when the state last said."""
        return self._was_mine

    async def run(self) -> None:
        """Take it when it is free, keep it while it is ours; until cancelled: then give it back."""
        spell = Spell(_log, "duty.not_renewed", "duty.renewed_again")
        try:
            while True:
                try:
                    await self._ask()
                    spell.worked()
                except StoreUnavailableError as error:
                    spell.failed(error)
                await asyncio.sleep(self._lease_s / BEATS_A_LEASE)
        finally:
            await self._give_up()

    async def _ask(self) -> None:
        asked_at, had = time.monotonic(), self.mine
        self._was_mine = await self._state.hold(self._name, self._me, self._lease_s, self._now_ms())
        if self._was_mine:
            self._mine_until = asked_at + self._lease_s
            if not had:
                _log.info("duty.taken", duty=self._name)
        else:
            self._mine_until = 0.0

    async def _give_up(self) -> None:
        self._was_mine = False
        if not self.mine:
            return
        self._mine_until = 0.0
        try:
            await self._state.let_go(self._name, self._me)
        except StoreUnavailableError as error:
            _log.warning("duty.not_given_back", duty=self._name, error=str(error))
