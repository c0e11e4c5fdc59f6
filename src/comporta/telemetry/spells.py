"""Says once that something has begun to fail, and once that it works again.

What is tried several times a second would fill the log in an outage with one sentence. In between
it is said again from time to time, with how often it failed, so that whoever looks sees it.
"""

import time
from collections.abc import Callable
from typing import Protocol

AGAIN_S = 30.0
"""While it goes on failing it is said at least so often."""


class Logger(Protocol):
    """What is needed of a structlog logger."""

    def error(self, event: str, **fields: object) -> object:
        """Something is wrong."""
        ...

    def info(self, event: str, **fields: object) -> object:
        """Good to know."""
        ...


class Spell:
    """One thing that is tried again and again.

    Args:
        log: where it is said.
        failing: the name of the line while it fails.
        over: the name of the line when it works again.
        now_s: a clock that never goes back, seconds.
    """

    def __init__(
        self, log: Logger, failing: str, over: str, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._failing, self._over, self._now_s = log, failing, over, now_s
        self._failures = 0
        self._said, self._said_at = "", 0.0

    def failed(self, error: Exception, **fields: object) -> None:
        """It failed; `fields` stand beside the error where it is said."""
        self._failures += 1
        text, now_s = str(error), self._now_s()
        if self._failures == 1 or text != self._said or now_s - self._said_at >= AGAIN_S:
            self._said, self._said_at = text, now_s
            self._log.error(self._failing, error=text, failures=self._failures, **fields)

    def worked(self) -> None:
        """It worked."""
        if self._failures:
            self._log.info(self._over, failures=self._failures)
        self._failures, self._said = 0, ""
