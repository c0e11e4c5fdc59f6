"""Outcomes on their way to the ledger: gathered while the last batch is being written.

What an attempt brought is told to the lanes at once and to the ledger in batches. Until the ledger
has it, it is kept here, whatever the disk does; a high-water mark stops new attempts meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from comporta.domain.delivery import Outcome
from comporta.errors import StoreUnavailableError
from comporta.ledger.port import Ledger
from comporta.telemetry.spells import Spell

BATCH_MAX = 500
HIGH_WATER = 4_000
HIGH_WATER_BYTES = 256 * 1024 * 1024
"""Of bodies: an outcome keeps its delivery until the ledger has it."""
PAUSE_S = 0.5
LINGER_S = 0.01
"""Outcomes gather this long: a transaction costs about as much for ten as for one."""
_log = structlog.get_logger(__name__)


class Outcomes:
    """The queue of outcomes of one worker.

    Args:
        ledger: where they go.
        tokens: the fencing tokens of the partitions that this worker owns, now.
        now_ms: the clock, Unix milliseconds.
        settled: told about the outcomes that the ledger has, once a batch.
        fenced: told about each partition that turned out to belong to another worker.
    """

    def __init__(
        self,
        ledger: Ledger,
        tokens: Callable[[], Mapping[int, int]],
        now_ms: Callable[[], int],
        settled: Callable[[Sequence[Outcome]], None],
        fenced: Callable[[int], None],
    ) -> None:
        self._ledger, self._tokens, self._now_ms = ledger, tokens, now_ms
        self._settled, self._fenced = settled, fenced
        self._waiting: list[Outcome] = []
        self._under_way = 0
        self._bytes = 0
        self._some = asyncio.Event()
        self._spell = Spell(_log, "outcomes.not_stored", "outcomes.stored_again")

    def put(self, outcome: Outcome) -> None:
        """Take an outcome; it is in the ledger when `settled` says so."""
        self._waiting.append(outcome)
        self._bytes += _bytes_of(outcome)
        self._some.set()

    def __len__(self) -> int:
        return len(self._waiting) + self._under_way

    @property
    def full(self) -> bool:
        """No new attempts, please."""
        return len(self) >= HIGH_WATER or self._bytes >= HIGH_WATER_BYTES

    async def run(self) -> None:
        """Write batches until cancelled. A task of the dispatcher's group."""
        while True:
            await self._some.wait()
            await asyncio.sleep(LINGER_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what is waiting; tries for as long as the ledger refuses."""
        self._some.clear()
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            self._under_way = len(batch)
            try:
                await self._write(batch)
            finally:
                self._under_way = 0
                self._bytes -= sum(map(_bytes_of, batch))

    async def _write(self, batch: list[Outcome]) -> None:
        while True:
            owned = self._tokens()
            tokens = {o.delivery.partition: owned.get(o.delivery.partition, 0) for o in batch}
            try:
                fenced = await self._ledger.settle(tokens, batch, self._now_ms())
            except StoreUnavailableError as error:
                self._spell.failed(error, waiting=len(self))
                await asyncio.sleep(PAUSE_S)
                continue
            self._spell.worked()
            for partition in fenced:
                self._fenced(partition)
            self._settled([one for one in batch if one.delivery.partition not in fenced])
            return


def _bytes_of(outcome: Outcome) -> int:
    return len(outcome.delivery.body) + len(outcome.result.response)
