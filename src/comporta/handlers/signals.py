"""What a handler may say other than "done": try again later, or this delivery is not wanted.

Both are raised, so that they also work from the depth of a bot. They are no errors, and therefore
not in the tree of `comporta.errors`.
"""

import math
from typing import Self

RETRY_S_MAX = 7 * 86_400.0
"""A longer wait is cut to this; `Retry` is no calendar."""
REASON_CHARS_MAX = 500


class Retry(Exception):  # noqa: N818  (a signal, not an error)
    """Raise `Retry.after(30)`: this attempt failed, try again in 30 seconds."""

    def __init__(self, reason: str = "", after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.after_s = reason[:REASON_CHARS_MAX], after_s

    @classmethod
    def after(cls, seconds: float, reason: str = "") -> Self:
        """Try again then.

        Args:
            seconds: from now; between 0 and seven days, what is beyond is cut.
            reason: shown with the attempt.

        Raises:
            ValueError: `seconds` is not a number.
        """
        if math.isnan(seconds):
            raise ValueError("Retry.after needs a number of seconds, not nan.")
        return cls(reason, min(max(0.0, float(seconds)), RETRY_S_MAX))


class Drop(Exception):  # noqa: N818  (a signal, not an error)
    """Raise `Drop("spam")`: the delivery is discarded with this reason, and not tried again."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason[:REASON_CHARS_MAX]
