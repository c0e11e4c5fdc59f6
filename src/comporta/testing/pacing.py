"""When the next request of many concurrent senders is due: one schedule, shared by all of them.

It knows nothing of requests. Slots are handed out in order, so the rate holds for the sum of the
senders, and a count or a duration ends them all.
"""

import asyncio
import time
from math import inf

_SLEEP_S_MIN = 0.0005
"""Event loops wake with a resolution of about a millisecond; shorter sleeps are not worth it."""

_SAME_S = 1e-6
"""Times that are nearer than this are the same: a schedule is a sum of many roundings."""


class Pacer:
    """Hands out starting times, by `time.perf_counter`: a loop's clock may be as coarse as 1 ms.

    Args:
        rate_per_s: slots a second for all senders together; 0: at once, whenever asked.
        slots: how many there are in all; None: no limit.
        duration_s: no slot later than this after the start; None: no limit.
        arrears_s_max: when senders fall behind, how much of the schedule they catch up on. Endless
            arrears make an honest open-loop measurement; short ones spare a receiver that was away
            the whole backlog at once.
    """

    def __init__(
        self,
        rate_per_s: float,
        slots: int | None = None,
        duration_s: float | None = None,
        arrears_s_max: float = inf,
    ) -> None:
        self._interval_s = 1 / rate_per_s if rate_per_s else 0.0
        self._slots_left = inf if slots is None else slots
        self._next_at = time.perf_counter()
        self._end_at = inf if duration_s is None else self._next_at + duration_s
        self._arrears_s_max = arrears_s_max

    async def next(self) -> float | None:
        """Wait for the next slot; its time by `time.perf_counter`, or None if there are no more."""
        now = time.perf_counter()
        due_at = max(self._next_at, now - self._arrears_s_max) if self._interval_s else now
        if self._slots_left <= 0 or due_at > self._end_at - _SAME_S:
            return None
        self._slots_left -= 1
        self._next_at = due_at + self._interval_s
        if due_at - now > _SLEEP_S_MIN:
            await asyncio.sleep(due_at - now)
        return due_at
