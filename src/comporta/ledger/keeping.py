"""What retention needs of a ledger: to count what came in, and to forget in small steps.

A port of its own beside `port.Ledger`, for nobody else asks for it. What a delivery needs that is
open or dead is never forgotten here: `retention` discards dead letters first, on record.
"""

from enum import StrEnum
from typing import Protocol

import msgspec

from comporta.domain.growth import Room, Sample

OPERATIONS_MAX = 10_000
"""Records of operations that are kept, the newest; then they are forgotten, by the hour."""


class Kept(StrEnum):
    """What has a limit of its own."""

    BODIES = "bodies"
    ATTEMPTS = "attempts"
    EVENTS = "events"
    """With their deliveries, and whatever there still is of bodies and attempts."""


class Counted(msgspec.Struct, frozen=True):
    """What one look at some rows brought."""

    rows: int
    bytes: int
    """About as much as they take on disk."""
    last_id: int
    """Where to go on; 0: there is no more."""


class Measure(msgspec.Struct, frozen=True):
    """What came in within one span of time."""

    start_ms: int
    rows: int
    bytes: int
    settled: bool = True
    """Nothing can be added any more."""


class Pruned(msgspec.Struct, frozen=True):
    """One step of forgetting."""

    gone: int
    last_id: int
    """Of the last row that was looked at."""
    more: bool
    """There may be more to look at."""
    took_ms: float
    """How long others could not write, the sync apart."""


class Keeping(Protocol):
    """Every call is short: it reads or writes at most as many rows as it is allowed."""

    async def first_at_ms(self, kind: Kept, since_ms: int) -> int | None:
        """When the first thing of a kind came in, at or after `since_ms` (Unix ms)."""
        ...

    async def counted(
        self, kind: Kept, after_id: int, span_ms: tuple[int, int], rows: int
    ) -> Counted:
        """Count at most `rows` things that came in within a span, after a number.

        Args:
            kind: of things.
            after_id: `last_id` of the call before, 0 at first.
            span_ms: from, inclusive, and until, exclusive (Unix ms).
            rows: at most so many.
        """
        ...

    async def measures(self, kind: Kept) -> list[Measure]:
        """What is known of each span, newest first."""
        ...

    async def keep_measure(self, kind: Kept, measure: Measure) -> None:
        """Keep what was found out about a span, instead of what was known."""
        ...

    async def forget_measures(self, kind: Kept, before_ms: int) -> None:
        """Forget the spans that began before a moment (Unix ms)."""
        ...

    async def prune(self, kind: Kept, after_id: int, before_ms: int, rows: int) -> Pruned:
        """Look at `rows` things that came in before a moment, and forget what nobody needs.

        Args:
            kind: of things.
            after_id: `last_id` of the step before, 0 at first.
            before_ms: Unix milliseconds.
            rows: look at so many at most.
        """
        ...

    async def dead_bytes(self, before_id: int | None, rows: int) -> list[tuple[int, int]]:
        """Dead letters below a number, newest first: number, and about how many bytes it keeps."""
        ...

    async def tidy(self, now_ms: int) -> bool:
        """Forget a little of what has done its duty; whether there may be more of it.

        That is nudges of yesterday, and operations beyond `OPERATIONS_MAX`.
        """
        ...

    async def room(self) -> Room:
        """How much is stored."""
        ...

    async def gives_back(self) -> bool:
        """Whether the file shrinks when much of it is free; otherwise free pages are used again."""
        ...

    async def add_sample(self, sample: Sample) -> None:
        """Keep a sample of the growth; only the newest `domain.growth.SAMPLES_MAX` stay."""
        ...

    async def samples(self) -> list[Sample]:
        """The samples of the growth, oldest first."""
        ...
