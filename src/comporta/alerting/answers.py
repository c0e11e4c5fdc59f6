"""How a server has answered webhooks lately, from counts that only grow. Pure."""

from collections import deque

import msgspec

WINDOW_MS = 300_000


class Answered(msgspec.Struct, frozen=True):
    """So many webhooks were answered."""

    count: int = 0
    late: int = 0
    """Of them, after more than `domain.diagnosis.ANSWER_LATE_S`."""


class Window:
    """What was answered in the last `WINDOW_MS`."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Answered]] = deque()

    def lately(self, ever: Answered, now_ms: int) -> Answered:
        """The difference to what there was at the window's beginning, or at the first look.

        Args:
            ever: since the server's start; less than before: it has started anew.
            now_ms: Unix milliseconds.
        """
        seen = self._seen
        if seen and (ever.count < seen[-1][1].count or now_ms < seen[-1][0]):
            seen.clear()
            seen.append((now_ms, Answered()))
        seen.append((now_ms, ever))
        while len(seen) > 1 and seen[1][0] <= now_ms - WINDOW_MS:
            seen.popleft()
        first = seen[0][1]
        return Answered(ever.count - first.count, ever.late - first.late)
