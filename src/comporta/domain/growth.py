"""How fast what is stored grows, and when the disk will be full at that rate. Pure."""

from collections.abc import Sequence

import msgspec

SAMPLES_MAX = 200
SAMPLE_MS_MIN, SAMPLE_MS_MAX = 5 * 60_000, 3_600_000
WINDOW_MS = 72 * 3_600_000
"""What is older says nothing about the present rate."""
KNOWN_MS = 3_600_000
"""A rate from less than this is a guess."""
_DAY_MS = 86_400_000


class Room(msgspec.Struct, frozen=True):
    """What a store has of its disk, in bytes."""

    used_bytes: int
    """Files grow in jumps, and keep room for what comes next: only this tells the rate."""
    spare_bytes: int
    """Free inside its file, and used before the file grows."""


class Sample(msgspec.Struct, frozen=True):
    """How much was stored at a moment (Unix ms), and how much more there was room for."""

    at_ms: int
    stored_bytes: int
    free_bytes: int | None
    """None: it is stored on a server elsewhere, and nobody here knows its disk."""


class Growth(msgspec.Struct, frozen=True):
    """What the samples tell."""

    stored_bytes: int
    free_bytes: int | None
    bytes_a_day: float | None = None
    """None: not known yet. Negative: it shrinks."""
    days_left: float | None = None
    """Until the disk is full at this rate; None: not known, or not in sight."""


def is_due(samples: Sequence[Sample], now_ms: int) -> bool:
    """Whether to take another sample: often at first, then once an hour.

    Args:
        samples: those that are there, oldest first.
        now_ms: Unix milliseconds.
    """
    if not samples or samples[-1].at_ms > now_ms:  # the clock was set back
        return True
    known_ms = samples[-1].at_ms - samples[0].at_ms
    return now_ms - samples[-1].at_ms >= min(max(known_ms, SAMPLE_MS_MIN), SAMPLE_MS_MAX)


def growth_of(samples: Sequence[Sample]) -> Growth | None:
    """The growth up to the newest sample, oldest first; None without any."""
    if not samples:
        return None
    last = samples[-1]
    recent = [one for one in samples if 0 <= last.at_ms - one.at_ms <= WINDOW_MS]
    span_ms = last.at_ms - recent[0].at_ms
    if span_ms < KNOWN_MS:
        return Growth(last.stored_bytes, last.free_bytes)
    a_day = (last.stored_bytes - recent[0].stored_bytes) * _DAY_MS / span_ms
    left = last.free_bytes / a_day if last.free_bytes is not None and a_day > 0 else None
    return Growth(last.stored_bytes, last.free_bytes, a_day, left)
