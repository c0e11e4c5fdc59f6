"""Whether a destination may be called now: its circuit breaker and its rate, shared by all workers.

The state is asked in the background; who waits is told when there is something new. While the state
cannot be asked, a rate lets nothing through: a limit that fails open is none.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from comporta.domain.breaker import CLOSED, OPEN_S_MAX, Breaker, BreakerState, Streak
from comporta.domain.delivery import AttemptResult, Delivery, Ending
from comporta.domain.rate import Rate
from comporta.errors import StoreUnavailableError
from comporta.state.port import State

ASK_AGAIN_MS = 500
KEEP_MS = 1000
"""Calls that were granted and not used so long are given up."""
_log = structlog.get_logger(__name__)


class Valve:
    """One destination's, in one worker.

    Args:
        destination_id: whose.
        state: where breakers and rates are.
        tasks: for questions to it.
        now_ms: the clock, Unix milliseconds.
        news: called when more may pass than before.
    """

    def __init__(
        self,
        destination_id: str,
        state: State,
        tasks: asyncio.TaskGroup,
        now_ms: Callable[[], int],
        news: Callable[[], None],
    ) -> None:
        self.breaker = CLOSED
        self.streak = Streak()
        self.changes = 0
        """How often this worker has changed the breaker: what was read before is old."""
        self._id, self._state, self._tasks = destination_id, state, tasks
        self._now_ms, self._news = now_ms, news
        self._rate: Rate | None = None
        self._timeout_s = 0.0
        self._permits = 0
        self._permits_at_ms = 0
        self._probes = 0
        self._asking = False
        self._telling = 0  # what the state is being told: what it said before is old
        self._again_at_ms = 0

    def change(self, rate: Rate | None, timeout_s: float) -> None:
        """The fleet says this about the destination now.

        Args:
            rate: None: as fast as it answers.
            timeout_s: how long an attempt may take, seconds.
        """
        if rate != self._rate:
            # What was granted, and when there is more, was said of the other rate: an hour, maybe.
            self._permits = self._again_at_ms = 0
        self._rate, self._timeout_s = rate, timeout_s

    @property
    def closed(self) -> bool:
        """No outage is known."""
        return self.breaker.state is BreakerState.CLOSED

    def room(self, now_ms: int, wanted: int) -> int:
        """How many of `wanted` calls may be made now; asks for more in the background."""
        if wanted <= 0:
            return 0
        if not self.closed:
            return self._room_for_probes(now_ms, wanted)
        if self._rate is None:
            return wanted
        if now_ms - self._permits_at_ms > KEEP_MS:
            self._permits = 0
        missing = wanted - self._permits
        if missing > 0 and not self._asking and now_ms >= self._again_at_ms:
            self._asking = True
            self._tasks.create_task(self._take(self._rate, missing))
        return min(wanted, self._permits)

    def _room_for_probes(self, now_ms: int, wanted: int) -> int:
        if not self._probes and not self._asking and now_ms >= self.again_at_ms(now_ms):
            self._asking = True
            self._tasks.create_task(self._probe())
        return min(wanted, self._probes)

    def enter(self) -> bool:
        """A call is made; whether it is a probe."""
        if not self.closed and self._probes:
            self._probes -= 1
            return True
        if self._rate is not None and self._permits:
            self._permits -= 1
        return False

    def again_at_ms(self, now_ms: int) -> int:
        """When to look again, Unix milliseconds; at most `now_ms` if nothing is waited for."""
        if self.breaker.state is BreakerState.OPEN:
            # An end far ahead was set before the clock was set back; the state knows what to do.
            until_ms = self.breaker.until_ms
            until_ms = until_ms if until_ms <= now_ms + int(OPEN_S_MAX * 1000) else now_ms
            return max(until_ms, self._again_at_ms)
        if self.closed and self._rate is None:
            return now_ms
        return self._again_at_ms

    def saw(self, delivery: Delivery, result: AttemptResult, *, probe: bool) -> None:
        """What an attempt brought."""
        now_ms = self._now_ms()
        if not result.sent:
            self._probes += probe  # it is still to be made
            return
        if result.succeeded or result.ending is Ending.DROPPED:
            self.streak.success(delivery.instance_id, now_ms)
            if probe:
                self._tasks.create_task(self._report(success=True, reason="", hold_s=0.0))
            return
        reason = result.reason
        hold_s = result.retry_after_s or 0.0
        if probe:
            self._tasks.create_task(self._report(success=False, reason=reason, hold_s=hold_s))
            return
        first = not delivery.attempts and not delivery.tried_at_ms
        where = delivery.lane, delivery.instance_id
        if self.streak.failure(*where, now_ms, first=first) and self.closed:
            # At once in this worker; the others learn of it from the state.
            self._become(Breaker(BreakerState.OPEN, now_ms, now_ms + ASK_AGAIN_MS, reason=reason))
            self._tasks.create_task(self._trip(reason, hold_s))

    def learn(self, breaker: Breaker, changes: int) -> None:
        """The state says this of the breaker; `changes` as it was before it was asked."""
        old = changes != self.changes or self._asking or self._telling
        if not old and breaker != self.breaker:
            self._become(breaker)

    def _become(self, breaker: Breaker) -> None:
        self.changes += 1
        was, self.breaker = self.breaker.state, breaker
        if breaker.state is not was:
            # Not the reason, which may be a handler's words: see `comporta.dispatch.lines`.
            say = _log.warning if breaker.state is BreakerState.OPEN else _log.info
            say("breaker.changed", destination_id=self._id, state=breaker.state.value)
        if breaker.state is not BreakerState.HALF_OPEN:
            self._probes = 0
        if self.closed and was is not BreakerState.CLOSED:
            self.streak.forget()
        self._news()

    async def _take(self, rate: Rate, wanted: int) -> None:
        now_ms = self._now_ms()
        try:
            grant = await self._state.take(self._id, rate, wanted, now_ms)
        except StoreUnavailableError as error:
            _log.error("rate.not_asked", destination_id=self._id, error=str(error))
            self._again_at_ms = now_ms + ASK_AGAIN_MS
        else:
            self._permits += grant.granted
            self._permits_at_ms = now_ms
            self._again_at_ms = 0 if grant.granted == wanted else int(grant.next_at_ms) + 1
        self._asking = False
        self._news()

    async def _probe(self) -> None:
        now_ms = self._now_ms()
        try:
            breaker, allowed = await self._state.probe(self._id, now_ms, self._timeout_s)
        except StoreUnavailableError as error:
            _log.error("breaker.not_asked", destination_id=self._id, error=str(error))
            self._asking, self._again_at_ms = False, now_ms + ASK_AGAIN_MS
        else:
            self._asking = False
            self._probes += allowed
            self._again_at_ms = 0 if allowed else now_ms + ASK_AGAIN_MS
            self._become(breaker)

    async def _trip(self, reason: str, hold_s: float) -> None:
        await self._tell(self._state.trip(self._id, self._now_ms(), reason, hold_s))

    async def _report(self, *, success: bool, reason: str, hold_s: float) -> None:
        await self._tell(
            self._state.probed(
                self._id, self._now_ms(), success=success, reason=reason, hold_s=hold_s
            )
        )

    async def _tell(self, change: Awaitable[Breaker]) -> None:
        """Have the state changed, and take up what it is then."""
        self._telling += 1
        try:
            found = await change
        except StoreUnavailableError as error:
            _log.error("breaker.not_kept", destination_id=self._id, error=str(error))
        else:
            self._become(found)
        finally:
            self._telling -= 1
        self._news()
