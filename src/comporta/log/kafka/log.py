"""The Kafka log: a topic with a partition for each of ours, one message a record.

Appending is an idempotent producer's work (`writer`), reading a consumer's
(`reader`), and what an administrator would do is done about the topic (`topic`). Here
they are put together and looked after: nothing fails because Kafka is away, it is found out and
said, and when it is back that is found out, too. Offsets are Kafka's plus one, for 0 means "from
the start".
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from comporta.domain.event import Record
from comporta.domain.growth import Room
from comporta.errors import ComportaError, ConfigError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.common import check_partitions
from comporta.log.kafka.place import place_of
from comporta.log.kafka.reader import Reader
from comporta.log.kafka.rules import Found
from comporta.log.kafka.topic import Topic
from comporta.log.kafka.writer import Writer
from comporta.log.port import Batch, LogHealth, Receipt

FIRST_TRY_S = 5.0
"""How long the start waits to learn whether the topic will do."""
RETRY_S = 1.0
LOOK_PERIOD_S = 60.0
"""How often a topic that was fine is looked at again: somebody may have changed its settings."""
SAVE_PERIOD_S = 1.0
FORGET_PERIOD_S = 30.0
LEAST_PAUSE_S = 0.2
_log = structlog.get_logger(__name__)


class KafkaLog:
    """The `Broker` port on a Kafka topic.

    Args:
        url: see `comporta.log.kafka.place`.
        partitions: 1 to 62; the topic has to have as many.
        body_bytes_max: of the largest body that will be appended.
        observe: called after each group of records that became durable, with their number and the
            seconds that the first of them took.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        partitions: int,
        *,
        body_bytes_max: int,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        check_partitions(partitions)
        self.partitions = partitions
        self._place = place_of(url, body_bytes_max)
        self._observe = observe
        self._error = _("Kafka at {servers} has not been reached yet.").format(
            servers=self._place.servers
        )
        self._found: Found | None = None
        self._warning = ""
        self._probed = -1
        self._watermark: dict[int, int] = {}
        self._saved: dict[int, int] = {}
        self._forgotten: dict[int, int] = {}
        self._forgot_at = -FORGET_PERIOD_S
        self._reader: Reader | None = None
        self._writer: Writer
        self._topic: Topic
        self._news: asyncio.Event
        self._suspicion: asyncio.Event
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """See the port."""
        self._news, self._suspicion = asyncio.Event(), asyncio.Event()
        self._topic = Topic(self._place, self.partitions)
        self._writer = Writer(self._place, self._failed, self._durable)
        self._writer.start()
        try:
            async with asyncio.timeout(FIRST_TRY_S):
                await self._settle()
            self._error = ""
        except ConfigError:
            await self._writer.close()
            raise
        except (StoreUnavailableError, TimeoutError) as error:
            self._say(str(error) or self._error)
        self._tasks = [
            asyncio.create_task(_always(self._watch)),
            asyncio.create_task(_always(self._keep)),
        ]

    async def close(self) -> None:
        """See the port."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._writer.close()
        try:
            await self._save()
        except StoreUnavailableError as error:
            _log.warning("watermark.not_saved", error=str(error))
        if self._reader is not None:
            await self._reader.close()
        await asyncio.to_thread(self._topic.close)

    async def identity(self) -> str:
        """See the port."""
        if self._found is None:
            raise StoreUnavailableError(self._error)
        return self._found.identity

    def assigned(self) -> frozenset[int] | None:
        """See the port. The first call makes this process a member of the group."""
        if self._reader is None:
            self._reader = self._new_reader(grouped=True)
        return self._reader.assigned() if self._reader.grouped else None

    def append(self, record: Record) -> asyncio.Future[object]:
        """See the port."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.hand_over(record, future)
        return future

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        if self._error:
            self._writer.refuse(receipt, StoreUnavailableError(self._error))
        else:
            self._writer.hand_over(record, receipt)

    @property
    def pending_bytes(self) -> int:
        """See the port."""
        return self._writer.pending_bytes

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See the port."""
        if self._reader is None:
            if not after:  # who reads nothing may become a member of the group yet
                return Batch((), {})
            self._reader = self._new_reader(grouped=False)
        return await self._reader.read(after, events_max, bytes_max)

    async def wait(self, timeout_s: float) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    async def commit(self, watermark: Mapping[int, int]) -> None:
        """See the port. Saved about once a second: what is lost of it is only read again."""
        for partition, offset in watermark.items():
            if offset > self._watermark.get(partition, 0):
                self._watermark[partition] = offset

    async def committed(self) -> dict[int, int]:
        """See the port."""
        return await asyncio.to_thread(self._topic.saved)

    async def lag(self) -> int:
        """See the port."""
        saved, ends = await asyncio.gather(
            asyncio.to_thread(self._topic.saved), asyncio.to_thread(self._topic.ends)
        )
        return sum(
            max(0, end - max(first, saved.get(p, 0), self._watermark.get(p, 0)))
            for p, (first, end) in ends.items()
        )

    async def room(self) -> Room:
        """See the port. How much the brokers' disks hold is theirs to know."""
        return Room(used_bytes=0, spare_bytes=0)

    def health(self) -> LogHealth:
        """See the port."""
        warnings = (*(self._found.warnings if self._found else ()), self._warning)
        return LogHealth(
            "kafka",
            self._error,
            self._reader.trouble if self._reader else "",
            tuple(dict.fromkeys(warning for warning in warnings if warning)),
        )

    async def probe(self) -> None:
        """See the port."""
        if self._found is None:
            raise StoreUnavailableError(self._error)
        await asyncio.to_thread(self._topic.check_writable, self._found)
        self._probed = (self._probed + 1) % self.partitions
        await self._writer.probe(self._probed)

    # What is looked after

    async def _watch(self) -> None:
        """Look at the topic: often while it does not do, else when something is suspicious."""
        self._suspicion.clear()
        try:
            await self._settle()
            if self._error:
                await self.probe()
        except ComportaError as error:
            self._say(str(error))
            await asyncio.sleep(RETRY_S)
            return
        self._say("")
        await asyncio.sleep(LEAST_PAUSE_S)
        try:
            async with asyncio.timeout(LOOK_PERIOD_S):
                await self._suspicion.wait()
        except TimeoutError:
            return

    async def _settle(self) -> None:
        found = await asyncio.to_thread(self._topic.settle)
        if self._found is not None and found.identity != self._found.identity:
            raise ConfigError(
                _("Topic {topic} was made anew. Restart Comporta, so that it is read anew.").format(
                    topic=self._place.topic
                )
            )
        if self._found is None or found.warnings != self._found.warnings:
            for warning in found.warnings:
                _log.warning("log.weakened", warning=warning)
        self._found = found

    def _say(self, error: str) -> None:
        if error and not self._error:
            _log.error("log.failed", error=error)
        elif self._error and not error:
            _log.info("log.recovered", topic=self._place.topic)
        self._error = error

    def _failed(self, error: str) -> None:
        if error:
            self._say(error)
        self._suspicion.set()

    def _durable(self, records: int, seconds: float) -> None:
        self._news.set()
        if self._observe is not None:
            self._observe(records, seconds)

    async def _keep(self) -> None:
        """Have Kafka remember how far everything is read, and forget what is before that."""
        await asyncio.sleep(SAVE_PERIOD_S)
        if self._error:
            return
        try:
            await self._save()
            await self._forget()
        except ComportaError as error:
            _log.warning("watermark.not_saved", error=str(error))
            self._suspicion.set()

    async def _save(self) -> None:
        """Until Kafka says that it has it: for then it was heard, and nobody was slower."""
        mine = {p: o for p, o in self._watermark.items() if o > self._saved.get(p, 0)}
        if not mine:
            return
        self._saved = await asyncio.to_thread(self._topic.saved)
        ahead = {p: o for p, o in mine.items() if o > self._saved.get(p, 0)}
        if not ahead:
            return
        if self._reader is None:
            self._reader = self._new_reader(grouped=False)
        self._reader.save(ahead)

    async def _forget(self) -> None:
        mine = {p: o for p, o in self._watermark.items() if o > self._forgotten.get(p, 0)}
        if not mine or self._warning or time.monotonic() - self._forgot_at < FORGET_PERIOD_S:
            return
        await self._settle()  # never in a topic that was made anew: its offsets are others
        try:
            await asyncio.to_thread(self._topic.forget, mine)
        except ConfigError as error:
            self._warning = str(error)
            _log.warning("log.weakened", warning=self._warning)
            return
        self._forgotten |= mine
        self._forgot_at = time.monotonic()

    def _new_reader(self, *, grouped: bool) -> Reader:
        return Reader(
            self._place, self._topic.ends, self._news, self._suspicion.set, grouped=grouped
        )


async def _always(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await step()
        except Exception:  # noqa: BLE001  (a supervisor: logged, and done again)
            _log.exception("log.not_looked_after")
            await asyncio.sleep(RETRY_S)
