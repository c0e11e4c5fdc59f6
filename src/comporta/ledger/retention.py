"""What is forgotten, and when: by age and by size, a little at a time.

A limit of bytes becomes a moment: what came in is counted once, span by span, and from the newest
backwards as many spans are kept as fit. So a size costs no more to keep than an age. It runs in one
process of a gateway and knows the ledger's ports only.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import millis_of
from comporta.ledger.bulk import Order, carry_out
from comporta.ledger.keeping import Keeping, Kept, Measure, Pruned
from comporta.ledger.port import Bulk, DeliveryFilter, Ledger

SPAN_MS = 600_000
"""A size may be exceeded by what comes in within about this time."""
LATE_MS = 60_000
"""After the end of a span, until all that belongs to it is there."""
SETTLE_MS = 86_400_000
"""Attempts belong to the span of their delivery, and may be made much later: counted again then."""
TALLY_ROWS = 2_000
STEP_MS = 4.0
"""What one step may take, while nobody else can write; the number of rows follows it."""
ROWS_MAX = 200
RESTS = 4
REST_S_MIN = 0.02
"""After each step it rests for so many times as long as the step took, and at least so long: at
most 10,000 rows a second go, and the disk is not kept busy.
"""
ROUND_MS = 3_600_000
"""Once in this time what was passed over, for it was open or dead, is looked at again."""
MIB = 1024 * 1024
DAY_MS = 86_400_000
WHO = "retention"
Sleep = Callable[[float], Awaitable[None]]


class Limit(msgspec.Struct, frozen=True):
    """How long something is kept, and how much of it; 0 MiB: however much there is."""

    days: int
    mib: int = 0


class Limits(msgspec.Struct, frozen=True):
    """All limits."""

    bodies: Limit
    attempts: Limit
    events: Limit
    dead: Limit

    def of(self, kind: Kept) -> Limit:
        """That of one kind."""
        limit: Limit = getattr(self, kind.value)
        return limit


class Retention:
    """Keeps a ledger within its limits.

    Args:
        ledger: where dead letters are.
        keeping: of the same ledger.
        limits: what to keep.
        now_ms: the clock, Unix milliseconds.
        mine: whether this process is the one that does it; asked before each step.
        sleep: rests for so many seconds.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        ledger: Ledger,
        keeping: Keeping,
        limits: Limits,
        now_ms: Callable[[], int],
        mine: Callable[[], bool] = lambda: True,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._ledger, self._keeping, self._limits = ledger, keeping, limits
        self._now_ms, self._mine, self._sleep = now_ms, mine, sleep
        self._after = dict.fromkeys(Kept, 0)
        self._rows = dict.fromkeys(Kept, 20)
        self._round_at_ms = 0

    async def round(self) -> None:
        """Forget all that may be forgotten now.

        Raises:
            StoreError: the ledger cannot be read or written; try again later.
        """
        if abs(self._now_ms() - self._round_at_ms) >= ROUND_MS:
            self._after = dict.fromkeys(Kept, 0)
            await self._prune_dead()
            # A large redrive leaves as many nudges: all of yesterday's go, not some.
            while self._mine() and await self._keeping.tidy(self._now_ms()):
                await self._sleep(REST_S_MIN)
            self._round_at_ms = self._now_ms()
        for kind in Kept:
            if self._limits.of(kind).mib:
                await self._measure(kind)
            await self._prune(kind, await self._keep_from_ms(kind))

    async def _keep_from_ms(self, kind: Kept) -> int:
        """What came in before this moment goes (Unix ms)."""
        limit = self._limits.of(kind)
        from_ms = self._now_ms() - limit.days * DAY_MS
        if limit.mib:
            size = 0
            for one in await self._keeping.measures(kind):
                size += one.bytes
                if size > limit.mib * MIB:
                    from_ms = max(from_ms, one.start_ms + SPAN_MS)
                    break
            await self._keeping.forget_measures(kind, from_ms - SPAN_MS)
        return from_ms

    async def _prune(self, kind: Kept, before_ms: int) -> None:
        more = True
        while more and self._mine():
            rows = self._rows[kind]
            step = await self._keeping.prune(kind, self._after[kind], before_ms, rows)
            more, self._after[kind] = step.more, step.last_id or self._after[kind]
            self._rows[kind] = _next_rows(rows, step)
            if more:
                await self._sleep(max(step.took_ms * RESTS / 1000, REST_S_MIN))

    # Dead letters

    async def _prune_dead(self) -> None:
        """They are discarded, as a person would do it; then nothing keeps their events."""
        limit, dead = self._limits.dead, DeliveryFilter(state=DeliveryState.DEAD)
        # Its age begins when it became one, for it may have been redriven long after it was made.
        old = replace(dead, settled_until_ms=self._now_ms() - limit.days * DAY_MS)
        await self._discard(old, f"kept for {limit.days} days")
        if limit.mib and (beyond_ms := await self._dead_beyond_ms(limit.mib * MIB)):
            beyond = replace(dead, until_ms=beyond_ms)
            await self._discard(beyond, f"more than {limit.mib} MiB of dead letters")

    async def _discard(self, which: DeliveryFilter, why: str) -> None:
        order = Order(Bulk.DISCARD, which, WHO, why)
        found = await self._ledger.matches(order.what, which)
        if found.count:
            await carry_out(self._ledger, order, found, self._now_ms)

    async def _dead_beyond_ms(self, bytes_max: int) -> int:
        """The oldest dead letters, made before this moment, are beyond the size (0: none are)."""
        size, before_id = 0, None
        while rows := await self._keeping.dead_bytes(before_id, TALLY_ROWS):
            for number, number_bytes in rows:
                size += number_bytes
                if size > bytes_max:
                    return millis_of(number) + 1
            before_id = rows[-1][0]
            await self._sleep(0)
        return 0

    # Sizes

    async def _measure(self, kind: Kept) -> None:
        """Count what came in since the last time, as far as it is complete."""
        known = await self._keeping.measures(kind)
        if kind is Kept.ATTEMPTS:
            for one in known:
                if not one.settled and one.start_ms + SPAN_MS + SETTLE_MS < self._now_ms():
                    await self._measure_span(kind, one.start_ms)
        next_ms = known[0].start_ms + SPAN_MS if known else 0
        while (first_ms := await self._keeping.first_at_ms(kind, next_ms)) is not None:
            start_ms = first_ms // SPAN_MS * SPAN_MS
            next_ms = start_ms + SPAN_MS
            if next_ms + LATE_MS > self._now_ms() or not self._mine():
                return
            await self._measure_span(kind, start_ms)

    async def _measure_span(self, kind: Kept, start_ms: int) -> None:
        end_ms = start_ms + SPAN_MS
        rows, size, after_id = 0, 0, 0
        while True:
            some = await self._keeping.counted(kind, after_id, (start_ms, end_ms), TALLY_ROWS)
            rows, size, after_id = rows + some.rows, size + some.bytes, some.last_id
            if not after_id:
                break
            await self._sleep(0)
        settled = kind is not Kept.ATTEMPTS or end_ms + SETTLE_MS < self._now_ms()
        await self._keeping.keep_measure(kind, Measure(start_ms, rows, size, settled))


def _next_rows(rows: int, step: Pruned) -> int:
    """How many rows the next step may look at, so that it takes about `STEP_MS`."""
    wanted = int(rows * STEP_MS / max(step.took_ms, 0.1))
    return min(max(wanted, rows // 2, 1), rows * 2, ROWS_MAX)
