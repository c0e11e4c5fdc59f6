"""A log that goes on taking events while its server is away: they wait in this server's spool.

A byte for each partition says where its events go (`flags`). When the broker refuses a
record, or has not confirmed it after `after_s`, all flags are set, so that nobody waits for it
twice; this record and those that follow become durable in an embedded file of this server
(`file`). One process of the server sends them on, oldest first, and clears each flag when
nothing of its partition is left (`drainer`).

Order holds for the events of a conversation of which one was acknowledged before the next came in.
The first is confirmed by the broker, and then what comes next can only come later there; or it is
in the spool, and then its flag was set before it was written and stays until the broker has
confirmed it, so that the next one goes behind it. The flag is looked at again when an event is
written, and is cleared only while nobody writes. Order is not claimed between requests that were
under way at the same time, nor between servers during an outage: a conversation that reaches two
servers then has a spool on each. A record may reach the broker twice (late, and out of the spool);
both have the same `Record.uid`, by which dispatch knows the second one within the dedupe window.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random, SystemRandom

import structlog
from msgspec.structs import replace

from comporta.clock import now_ms
from comporta.domain.event import Record
from comporta.domain.growth import Room
from comporta.embedded.connection import unavailable
from comporta.i18n import _
from comporta.log.port import Batch, Broker, LogHealth, Receipt
from comporta.log.spool.drainer import Drainer, unconfirmed
from comporta.log.spool.file import PASSED_BACK, SpoolFile

SWEEP_S = 0.05
"""How often to see whose deadline has passed: so much later than `after_s` it can get."""
LOOK_S = 1.0
SETTLE_S = 1.0
"""How long the start waits for a broker that is well to get what a crash left in the spool."""
RESTART_S = 0.5
QUIET_S = 2.0
"""Flags that are set for a shorter time are no news: at each start they are."""
_log = structlog.get_logger(__name__)


def _nobody(_what: str, _events: int) -> None:
    """Counts nothing."""


class SpooledLog:
    """The `Log` port: a broker, and a spool of this server for when that is away.

    Args:
        broker, file: not opened; of the same number of partitions.
        after_s: how long a record may wait for the broker's confirmation, seconds.
        drains: whether this process may be the one that sends the spool on.
        observe: told how many events were "spooled" or "drained", on the event loop.
    """

    def __init__(
        self,
        broker: Broker,
        file: SpoolFile,
        *,
        after_s: float,
        drains: bool,
        observe: Callable[[str, int], None] = _nobody,
    ) -> None:
        self.partitions = broker.partitions
        self._broker, self._file, self._flags = broker, file, file.flags
        self._after_s, self._drains, self._observe = after_s, drains, observe
        self._drainer = Drainer(
            broker, file, SystemRandom().random, now_ms, lambda events: observe("drained", events)
        )
        self._uid = Random(SystemRandom().getrandbits(256)).randbytes  # noqa: S311  (no secret)
        self._pending: deque[_Sent] = deque()
        self._behind = [0] * broker.partitions
        """Partition → how many are on the way into the spool: what comes next goes behind them."""
        self._reason = ""
        self._work: asyncio.Task[None] | None = None

    # Appending

    def append(self, record: Record) -> asyncio.Future[object]:
        """See the port."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.hand_over(record, future)
        return future

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        if not record.uid:
            record = replace(record, uid=self._uid(16))
        if self._flags.states[record.partition] or self._behind[record.partition]:
            self.spool(record, receipt, tried=False)
        else:
            self.send(record, receipt)

    def send(self, record: Record, receipt: Receipt) -> None:
        """To the broker, with a deadline."""
        sent = _Sent(self, record, receipt, time.monotonic() + self._after_s)
        self._pending.append(sent)
        self._broker.hand_over(record, sent)

    def spool(self, record: Record, receipt: Receipt, *, tried: bool) -> None:
        """Into the spool. `tried`: the broker did not take it."""
        self._behind[record.partition] += 1
        self._file.hand_over(record, _Spooled(self, record, receipt, tried))

    def give_up(self, record: Record, receipt: Receipt, why: str) -> None:
        """The broker does not take it: into the spool, with all that comes."""
        self._reason = why or self._reason
        try:
            # Before it is written: whoever sees its acknowledgement sees the flag.
            if not all(self._flags.states[: self.partitions]):
                self._flags.trip(now_ms())
        except OSError as error:
            receipt.set_exception(unavailable(error, self._flags.path))
        else:
            self.spool(record, receipt, tried=True)

    def spooled(self, partition: int) -> None:
        """The spool has answered; see `_Spooled`."""
        self._behind[partition] -= 1

    def count(self, what: str) -> None:
        """One more event was spooled."""
        self._observe(what, 1)

    @property
    def pending_bytes(self) -> int:
        """See the port."""
        return self._broker.pending_bytes + self._file.pending_bytes

    # What the broker alone can tell or do

    async def identity(self) -> str:
        """See the port."""
        return await self._broker.identity()

    async def committed(self) -> dict[int, int]:
        """See the port."""
        return await self._broker.committed()

    def assigned(self) -> frozenset[int] | None:
        """See the port."""
        return self._broker.assigned()

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See the port."""
        return await self._broker.read(after, events_max, bytes_max)

    async def wait(self, timeout_s: float) -> None:
        """See the port."""
        await self._broker.wait(timeout_s)

    async def commit(self, watermark: Mapping[int, int]) -> None:
        """See the port."""
        await self._broker.commit(watermark)

    # Both

    async def lag(self) -> int:
        """See the port. Raises StoreUnavailableError while nobody knows the broker's part."""
        return await self._broker.lag() + self.waiting

    async def room(self) -> Room:
        """See the port: the broker's, and what the spool takes of this server's disk."""
        broker, spool = await self._broker.room(), await self._file.room()
        return Room(broker.used_bytes + spool.used_bytes, broker.spare_bytes + spool.spare_bytes)

    @property
    def waiting(self) -> int:
        """How many events of this server are spooled and not sent on."""
        return self._flags.waiting

    @property
    def active(self) -> bool:
        """Whether events go to the spool."""
        return self._flags.active

    def health(self) -> LogHealth:
        """See the port: an error is what stops both."""
        broker, spool = self._broker.health(), self._file.full or self._file.health().error
        active = self._flags.active
        error = spool if active or broker.error else ""
        told = "" if error else self._degraded(broker, spool, active=active)
        return LogHealth(broker.engine, error, told or broker.degraded, broker.warnings)

    def _degraded(self, broker: LogHealth, spool: str, *, active: bool) -> str:
        since_ms = self._flags.since_ms
        why = broker.error or self._drainer.trouble or self._reason
        if active and now_ms() - since_ms >= QUIET_S * 1000:
            said = _(
                "Since {since} UTC events go to this server's spool; {count} wait in it. {why}"
            )
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(since_ms / 1000))
            return said.format(since=since, count=self._flags.waiting, why=why).strip()
        if broker.error and not active:
            return broker.error
        if spool:
            said = _("If the log's server failed now, events would be refused: {error}")
            return said.format(error=spool)
        return ""

    # From start to end

    async def open(self) -> None:
        """See the port. What a crash left in the spool goes first, if the broker is well."""
        await self._file.open()
        try:
            await self._broker.open()
        except BaseException:
            await self._file.close()
            raise
        if self._drains:
            with suppress(OSError):  # the drainer tries again, and tells
                self._drainer.try_lock()
        self._work = asyncio.create_task(self._run())
        if self._drains:
            await self._settle()

    async def _settle(self) -> None:
        ends_at = time.monotonic() + SETTLE_S
        while self._flags.active and time.monotonic() < ends_at:
            await asyncio.sleep(SWEEP_S / 10)

    async def close(self) -> None:
        """See the port: what the broker does not confirm in time goes to the spool."""
        while self._pending or any(self._behind):
            self._sweep()
            await asyncio.sleep(SWEEP_S / 10)
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        await self._broker.close()
        await self._file.close()
        self._drainer.close()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_deadlines())
                    tasks.create_task(self._look())
                    if self._drains:
                        tasks.create_task(self._drainer.run())
            except Exception as error:  # noqa: BLE001  (a supervisor: logged, and begun anew)
                _log.error("spool.failed", error=str(error), exc_info=error)
                await asyncio.sleep(RESTART_S)

    async def _keep_deadlines(self) -> None:
        while True:
            self._sweep()
            await asyncio.sleep(SWEEP_S)

    def _sweep(self) -> None:
        now, pending = time.monotonic(), self._pending
        while pending and (pending[0].done() or pending[0].deadline <= now):
            sent = pending.popleft()
            if not sent.done():
                sent.expire(unconfirmed(self._after_s))

    async def _look(self) -> None:
        while True:
            await self._file.look()
            if not self._flags.active:
                self._reason = ""
            await asyncio.sleep(LOOK_S)


class _Sent:
    """A record at the broker; see `comporta.log.port.Receipt`."""

    __slots__ = ("_log", "_over", "_receipt", "_record", "deadline")

    def __init__(self, log: SpooledLog, record: Record, receipt: Receipt, deadline: float) -> None:
        self._log, self._record, self._receipt = log, record, receipt
        self.deadline, self._over = deadline, False

    def done(self) -> bool:
        """Nobody waits for the broker any more: answered, given up, or not wanted."""
        return self._over or self._receipt.done()

    def set_result(self, result: object) -> None:
        """The broker has it."""
        if not self._over:
            self._over = True
            self._receipt.set_result(result)

    def set_exception(self, error: BaseException) -> None:
        """The broker does not take it."""
        self.expire(str(error))

    def expire(self, why: str) -> None:
        """The spool takes over; a late answer counts for nothing."""
        if not self._over:
            self._over = True
            self._log.give_up(self._record, self._receipt, why)


class _Spooled:
    """A record on the way into the spool."""

    __slots__ = ("_log", "_receipt", "_record", "_tried")

    def __init__(self, log: SpooledLog, record: Record, receipt: Receipt, tried: bool) -> None:
        self._log, self._record, self._receipt, self._tried = log, record, receipt, tried

    def done(self) -> bool:
        """It wants to know in any case: what comes next goes behind it until then."""
        return False

    def set_result(self, result: object) -> None:
        """It is durable, or its partition belongs to the broker by now."""
        self._log.spooled(self._record.partition)
        if result is not PASSED_BACK:
            self._log.count("spooled")
            if not self._receipt.done():
                self._receipt.set_result(None)
        elif self._receipt.done():
            return
        elif self._tried:  # a flag that was set while another hand cleared it
            self._log.give_up(self._record, self._receipt, "")
        else:
            self._log.send(self._record, self._receipt)

    def set_exception(self, error: BaseException) -> None:
        """It is not stored anywhere, as far as can be told."""
        self._log.spooled(self._record.partition)
        if not self._receipt.done():
            self._receipt.set_exception(error)
