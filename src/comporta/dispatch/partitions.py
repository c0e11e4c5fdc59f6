"""The partitions of one worker: leases won, kept, handed over and lost, and how far each is read.

Every worker aims at a fair share: what is more is handed over once nothing of it is under way, what
is missing is taken when it is free. Whatever goes wrong here costs time, never an event: the ledger
refuses the writes of a worker whose lease has passed to another.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from comporta.errors import FencedError, StoreUnavailableError
from comporta.ledger.port import Claim, Ledger
from comporta.log.port import Log
from comporta.state.port import Lease, State, WorkerRow
from comporta.telemetry.spells import Spell

BEATS_A_LEASE = 4
HUNGRY_S = 0.1
"""Pause of a worker that has less than its share: what another hands over waits for it."""
DRAIN_POLL_S = 0.05
_log = structlog.get_logger(__name__)


class Lanework(Protocol):
    """What happens to the lanes of a partition when the partition comes or goes."""

    def partition_won(self, claim: Claim) -> None:
        """Take up its open lanes."""
        ...

    def workers_changed(self) -> None:
        """Workers have come or gone: what is shared among them is shared anew."""
        ...

    def partition_stopped(self, partition: int) -> None:
        """Start nothing new of it: it is to be handed over."""
        ...

    def partitions_active(self) -> set[int]:
        """Those of which something is under way."""
        ...

    def partition_lost(self, partition: int) -> None:
        """Forget it."""
        ...


class _Share(msgspec.Struct, frozen=True):
    """Of which partitions a worker may own how many."""

    which: Sequence[int]
    least: int
    """With fewer it looks for more, often."""
    most: int


class Partitions:
    """What one worker owns.

    Args:
        log, ledger, state: opened.
        me: this worker, as others shall see it.
        lease_s: how long a partition stays with a worker that is not heard of, seconds.
        lanework: told about every partition that comes or goes.
        now_ms: the clock, Unix milliseconds.
    """

    def __init__(  # noqa: PLR0913  (the dispatcher gives it all it needs, by name)
        self,
        *,
        log: Log,
        ledger: Ledger,
        state: State,
        me: Callable[[int], WorkerRow],
        lease_s: float,
        lanework: Lanework,
        now_ms: Callable[[], int],
    ) -> None:
        self.tokens: dict[int, int] = {}
        """Partition → fencing token, of all that is owned."""
        self.positions: dict[int, int] = {}
        """Partition → offset up to which the log is read; not of those that are handed over."""
        self._log, self._ledger, self._state, self._me = log, ledger, state, me
        self._lease_s, self._lanework, self._now_ms = lease_s, lanework, now_ms
        self._id = me(0).id
        self._leaving: set[int] = set()
        self._draining = False
        self._hungry = False
        self._token_floor = 0
        self._rank, self._workers = 0, 1

    async def keep(self) -> None:
        """Renew, win and hand over, several times a lease, until cancelled."""
        renewed_at = time.monotonic()
        spell = Spell(_log, "leases.not_renewed", "leases.renewed_again")
        while True:
            try:
                await self._renew()
                renewed_at = time.monotonic()
                spell.worked()
            except StoreUnavailableError as error:
                spell.failed(error)
                if time.monotonic() - renewed_at > self._lease_s:
                    for partition in list(self.tokens):
                        self.lose(partition)
            pause_s = self._lease_s / BEATS_A_LEASE
            await asyncio.sleep(min(pause_s, HUNGRY_S) if self._hungry else pause_s)

    async def drain(self, within_s: float) -> None:
        """Hand each partition over as soon as nothing of it is under way; at last, all of them."""
        self._draining = True
        for partition in self.tokens:
            self._stop(partition)
        try:
            async with asyncio.timeout(within_s):
                # Many things end at different times; looking now and then is the simple way.
                while self.tokens:
                    await self._give_back()
                    await asyncio.sleep(DRAIN_POLL_S)
        except TimeoutError:
            _log.warning("attempts.abandoned", partitions=len(self.tokens))
        except StoreUnavailableError as error:
            _log.warning("leases.not_released", error=str(error))
        try:
            await self._state.leave(self._id)
        except StoreUnavailableError as error:
            _log.warning("leases.not_released", error=str(error))

    def advance(self, reached: Mapping[int, int], tokens: Mapping[int, int]) -> None:
        """What was read (and is in the ledger) is read up to `reached`.

        A partition that was lost, or lost and won again, since its `tokens` were noted stays where
        the ledger says that it is.
        """
        for partition, offset in reached.items():
            if partition in self.positions and self.tokens[partition] == tokens[partition]:
                self.positions[partition] = offset

    def lose(self, partition: int) -> None:
        """It belongs to another worker, or to nobody, now."""
        self.tokens.pop(partition, None)
        self.positions.pop(partition, None)
        self._leaving.discard(partition)
        self._lanework.partition_lost(partition)

    def part_of(self, total: int) -> int:
        """This worker's part of something that all workers share evenly: at least 1."""
        return max(1, total // self._workers + (self._rank < total % self._workers))

    def _meet(self, alive: Sequence[WorkerRow]) -> None:
        """These are the workers now, in an order that all of them see."""
        ids = [worker.id for worker in alive]
        known = self._rank, self._workers
        self._workers = max(1, len(ids))
        self._rank = ids.index(self._id) if self._id in ids else 0
        if (self._rank, self._workers) != known:
            self._lanework.workers_changed()

    async def _renew(self) -> None:
        heard = await self._state.beat(self._me(len(self.tokens)), self._lease_s)
        alive = [worker for worker in heard if worker.dispatches]
        self._meet(alive)
        held = await self._state.held(self._id, self._now_ms())
        tokens = {lease.partition: lease.token for lease in held}
        for partition in [p for p, token in self.tokens.items() if tokens.get(p) != token]:
            self.lose(partition)
        self._hungry = False
        if self._draining:
            return
        mine = self._mine(len(alive))
        # What is held and not owned was won when the ledger could not be asked: ask again. (Looked
        # for before the hand-over, after which `held` names what is not ours any more.)
        won = [lease for lease in held if lease.partition not in self.tokens]
        await self._hand_over(mine)
        missing = mine.most - len(self.tokens) - len(won)
        if missing > 0:
            won += await self._state.acquire(
                self._id, mine.which, missing, self._lease_s, self._now_ms(), self._token_floor
            )
        for lease in won:
            await self._claim(lease)
        self._hungry = len(self.tokens) < mine.least

    def _mine(self, workers: int) -> _Share:
        """What this worker should own: what the log's own group says, or else an even share."""
        given = self._log.assigned()
        if given is not None:
            return _Share(sorted(given), len(given), len(given))
        count, workers = self._log.partitions, max(1, workers)
        return _Share(range(count), count // workers, math.ceil(count / workers))

    async def _hand_over(self, mine: _Share) -> None:
        staying = sorted((p for p in self.tokens if p not in self._leaving), reverse=True)
        not_mine = [p for p in staying if p not in mine.which]
        spare = [p for p in staying if p in mine.which][: max(0, len(staying) - mine.most)]
        for partition in not_mine or spare:
            self._stop(partition)
        await self._give_back()

    async def _give_back(self) -> None:
        done = self._leaving - self._lanework.partitions_active() if self._leaving else set()
        for partition in done:
            self.lose(partition)
        if done:
            await self._state.release(self._id, sorted(done))

    def _stop(self, partition: int) -> None:
        self._leaving.add(partition)
        self.positions.pop(partition, None)
        self._lanework.partition_stopped(partition)

    async def _claim(self, lease: Lease) -> None:
        try:
            log = await self._log.identity()
            claim = await self._ledger.claim(lease.partition, lease.token, log)
        except FencedError as error:
            # The leases were lost and the clock set back: from now on, tokens above the ledger's.
            self._token_floor = max(self._token_floor, error.token)
            await self._state.release(self._id, [lease.partition])
            return
        if self._draining:
            await self._state.release(self._id, [lease.partition])
            return
        self.tokens[lease.partition] = lease.token
        self.positions[lease.partition] = claim.offset
        self._lanework.partition_won(claim)
        _log.info("partition.claimed", partition=lease.partition, open_lanes=len(claim.lanes))
