"""How many log lines of a kind a process may write: some a second, and then it only counts.

A stranger who is refused a thousand times a second, or a destination that fails as often, shall
fill neither the disk nor the processor with one sentence.
"""

import time
from collections.abc import Callable

LINES_MAX = 20
"""A second, of one kind, in one process."""


class Budget:
    """The lines of one kind.

    Args:
        now_s: a clock that never goes back, seconds.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._since_s = float("-inf")
        self._written = self._left_out = 0

    def spend(self) -> int | None:
        """How many lines were left out since the last one; None: leave this one out as well."""
        now_s = self._now_s()
        if now_s - self._since_s >= 1:
            self._since_s, self._written = now_s, 0
        if self._written >= LINES_MAX:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
