"""How long to wait before the next attempt: the schedule's wait with full jitter.

Full jitter (a uniform draw between zero and the wait) spreads the retries of many lanes evenly
after an outage. A destination's `Retry-After` wins where it asks for more, clamped so that a wrong
header cannot park a lane for ever.
"""

DEFAULT_WAITS_S: tuple[float, ...] = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0)
WAIT_S_MIN = 0.5
"""Never at once: a destination that refuses instantly must not be hammered."""
RETRY_AFTER_S_MAX = 3600.0


def next_wait_s(
    waits_s: tuple[float, ...], attempts: int, draw: float, retry_after_s: float | None = None
) -> float | None:
    """Seconds until the next attempt, or None if there is none left.

    Args:
        waits_s: the destination's schedule.
        attempts: attempts made so far, at least 1.
        draw: a random number, 0 ≤ draw < 1.
        retry_after_s: what the destination asked for, if it did.
    """
    if attempts > len(waits_s):
        return None
    wait_s = max(WAIT_S_MIN, waits_s[attempts - 1] * draw)
    if retry_after_s is None:
        return wait_s
    return max(wait_s, min(retry_after_s, RETRY_AFTER_S_MAX))
