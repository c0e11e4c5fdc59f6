"""Sends on what is in the spool, oldest first, and gives the partitions back to the broker.

One process of a server does it: whoever holds a file lock, which the kernel gives to another one
when that process ends. It works as fast as the broker confirms, but rests as long as it worked, for
it shares its process with intake. While the broker does not answer it asks now and then, and no
event of the spool is risked on that.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from comporta.embedded.gate import Gate
from comporta.errors import StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.port import Broker
from comporta.log.spool.file import SpoolFile
from comporta.log.spool.flags import CLEAR, SEEN
from comporta.log.spool.waves import Item, Waves

LOCK_LOOK_S = 0.5
"""How often to see whether somebody should drain instead of the one who did."""
LOOK_S = 0.05
"""How often to see whether a flag was set, and whether something takes too long."""
READ_EVENTS, READ_BYTES = 512, 4 * 1024 * 1024
SEND_S = 5.0
"""For a confirmation. Longer than intake waits: a wave is large, and nobody waits for it."""
REST = 1.0
"""Pauses, as a multiple of the time at work."""
BACKOFF_S = (0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
_UNDER_WAY = float("inf")
_log = structlog.get_logger(__name__)


class Drainer:
    """See the module.

    Args:
        broker, file: opened.
        draw: a random number, 0 ≤ draw < 1, for jitter.
        now_ms: the clock, Unix ms.
        count_sent: told how many more are sent on.
    """

    def __init__(
        self,
        broker: Broker,
        file: SpoolFile,
        draw: Callable[[], float],
        now_ms: Callable[[], int],
        count_sent: Callable[[int], None],
    ) -> None:
        self._broker, self._file, self._flags = broker, file, file.flags
        self._draw, self._now_ms, self._count_sent = draw, now_ms, count_sent
        self._lock = Gate(file.lock_path)
        self._waves: Waves
        self._flying: set[_Flight] = set()
        self._landed = asyncio.Event()
        self._proved: set[int] = set()
        self._doubt = True
        self._failures = 0
        self._probe_at = 0.0
        self._retries: dict[int, _Retry] = {}
        self._broken = self._blinded = ""
        self._sent = 0

    @property
    def trouble(self) -> str:
        """Why something is not sent on right now, in a sentence; "" while all is well."""
        stuck = next((retry.why for retry in self._retries.values()), "")
        return self._blinded or self._broken or stuck

    def try_lock(self) -> bool:
        """Become the one who drains, if there is none; then all flags are set.

        Raises:
            OSError: the lock or the flags cannot be written.
        """
        if not self._lock.try_hold():
            return False
        self._flags.trip(self._now_ms())
        return True

    def close(self) -> None:
        """Let another one drain."""
        self._lock.close()

    async def run(self) -> None:
        """Drain until cancelled. A spool that cannot be read is tried again."""
        while not self._locked():
            await asyncio.sleep(LOCK_LOOK_S)
        begun = False
        while True:
            try:
                if not begun:
                    await self._begin()
                    begun = True
                if self._flags.active or self._flags.waiting:
                    await self._round()
                else:
                    await asyncio.sleep(LOOK_S)
                self._blinded = ""
            except (StoreError, OSError) as error:
                await self._blind(error)

    def _locked(self) -> bool:
        try:
            return self.try_lock()
        except OSError as error:
            self._blinded = str(error)
            return False

    async def _begin(self) -> None:
        watermark = await self._file.watermark()
        self._waves = Waves(watermark)
        await self._file.recount(watermark)

    async def _blind(self, error: StoreError | OSError) -> None:
        """The spool cannot be read. If nothing is in it, that is no reason to keep to it."""
        if not self._blinded:
            _log.error("spool.not_read", error=str(error))
        self._blinded = str(error)
        with suppress(StoreError, OSError):
            if not self._flags.waiting:
                await self._broker.probe()
                for partition in range(self._flags.partitions):
                    self._flags.clear(partition)
        await asyncio.sleep(LOCK_LOOK_S)

    async def _round(self) -> None:
        self._landed.clear()
        if not self._flags.active:  # it was cleared blindly, and something came after all
            self._flags.trip(self._now_ms())
        if fresh := self._flags.see():
            self._proved -= fresh
            self._doubt = True
        self._sweep()
        if self._doubt and not await self._prove():
            return
        began = time.monotonic()
        read = await self._read()
        waved = self._send()
        worked_s = time.monotonic() - began
        await self._save()
        if not read:
            await self._clear()
        if read or waved:
            await asyncio.sleep(REST * worked_s)
        if not read:
            await self._wait()

    async def _prove(self) -> bool:
        """Find out whether the broker works, at most as often as the backoff allows."""
        if time.monotonic() < self._probe_at:
            await self._wait()
            return False
        seen = [p for p in range(self._flags.partitions) if self._flags.states[p] == SEEN]
        try:
            await self._broker.probe()
        except StoreError as error:
            self._tell(str(error))
            self._probe_at = time.monotonic() + self._pause_s(self._failures)
            self._failures += 1
            return False
        self._tell("")
        self._failures, self._doubt = 0, False
        self._proved.update(seen)
        return True

    def _tell(self, trouble: str) -> None:
        """Keep what is wrong; a line in the log only when that begins or ends."""
        if trouble and not self._broken:
            _log.error("spool.broker_failed", error=trouble, waiting=self._flags.waiting)
        elif self._broken and not trouble:
            _log.info("spool.broker_recovered", waiting=self._flags.waiting)
        self._broken = trouble

    def _pause_s(self, failures: int) -> float:
        return BACKOFF_S[min(failures, len(BACKOFF_S) - 1)] * (1 + self._draw()) / 2

    async def _wait(self) -> None:
        """Until something has landed since the round began, or it is time to look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._landed.wait()

    async def _read(self) -> int:
        self._retry()
        after = self._waves.hungry()
        if not after:
            return 0
        batch = await self._file.read(after, READ_EVENTS, READ_BYTES)
        self._waves.add(after, batch)
        return len(batch.entries)

    def _retry(self) -> None:
        now = time.monotonic()
        for partition, retry in self._retries.items():
            if retry.at <= now and self._waves.retry(partition):
                retry.at = _UNDER_WAY

    def _send(self) -> int:
        wave = self._waves.take()
        deadline = time.monotonic() + SEND_S
        for item in wave:
            flight = _Flight(self, item, deadline)
            self._flying.add(flight)
            self._broker.hand_over(item.entry.record, flight)
        return len(wave)

    def _sweep(self) -> None:
        """What has had no answer in time has failed; a late one counts for nothing."""
        now = time.monotonic()
        for flight in [one for one in self._flying if one.deadline <= now]:
            flight.set_exception(StoreUnavailableError(unconfirmed(SEND_S)))

    async def _save(self) -> None:
        """What is lost of the watermark is only sent again: a full disk does not stop the rest."""
        if self._sent:
            self._flags.count_sent(self._sent)
            self._count_sent(self._sent)
            self._sent = 0
        with suppress(StoreError):
            await self._file.commit(self._waves.watermark())

    async def _clear(self) -> None:
        states, watermark = self._flags.states, self._waves.watermark()
        done = {p: watermark[p] for p in self._proved if states[p] == SEEN and self._waves.idle(p)}
        if done:
            await self._file.clear(done)
            self._proved = {p for p in self._proved if states[p] != CLEAR}

    # What became of an event: see `_Flight`

    def confirmed(self, flight: "_Flight") -> None:
        """The broker has it."""
        self._flying.discard(flight)
        partition = flight.item.entry.record.partition
        retry = self._retries.get(partition)
        if retry is None or retry.at == _UNDER_WAY:
            self._retries.pop(partition, None)
            self._proved.add(partition)
        self._sent += 1
        self._waves.confirm(flight.item)
        self._landed.set()

    def failed(self, flight: "_Flight", why: str) -> None:
        """It goes again later; the broker is asked how it is before anything else goes."""
        self._flying.discard(flight)
        partition = flight.item.entry.record.partition
        retry = self._retries.setdefault(partition, _Retry())
        if retry.at == _UNDER_WAY:  # the first of its wave
            retry.at = time.monotonic() + self._pause_s(retry.failures)
            retry.failures, retry.why = retry.failures + 1, why
        self._doubt = True
        self._proved.discard(partition)
        self._waves.fail(flight.item)
        self._landed.set()


class _Retry:
    """When a partition that failed is tried again."""

    def __init__(self) -> None:
        self.failures, self.why = 0, ""
        self.at = _UNDER_WAY


class _Flight:
    """An event on its way to the broker; see `comporta.log.port.Receipt`."""

    __slots__ = ("_drainer", "_over", "deadline", "item")

    def __init__(self, drainer: Drainer, item: Item, deadline: float) -> None:
        self._drainer, self.item, self.deadline, self._over = drainer, item, deadline, False

    def done(self) -> bool:
        """It was given up."""
        return self._over

    def set_result(self, _result: object) -> None:
        """The broker has it."""
        if not self._over:
            self._over = True
            self._drainer.confirmed(self)

    def set_exception(self, error: BaseException) -> None:
        """It does not."""
        if not self._over:
            self._over = True
            self._drainer.failed(self, str(error))


def unconfirmed(after_s: float) -> str:
    """What is wrong with a broker that says nothing, in a sentence."""
    said = _("The log's server has not confirmed an event within {seconds:g} s.")
    return said.format(seconds=after_s)
