"""Reading from Kafka: one consumer and its thread, which fetches what is read and no more.

Positions come from whoever reads (the ledger has them), never from the group: a partition is read
from a place by being assigned anew there. As a member of the group the consumer fetches what the
group gives it and this process reads; without, whatever is read. Only the thread touches the
consumer, whose calls wait for one another; it meets the event loop in the shelf, under a lock.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from comporta.errors import StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.frames import unpack
from comporta.log.kafka.client import OUT_OF_RANGE, PARTITION_EOF, reason_of, told, unavailable
from comporta.log.kafka.place import PROBE_KEY, Place
from comporta.log.kafka.shelf import Fetched, Given, Shelf, Stretch
from comporta.log.port import Batch, Entry

POLL_S = 0.05
"""How long the thread listens before it looks whether something else is asked of it."""
AT_A_TIME = 256
RETRY_S = 0.5
READ_S = 5.0
"""How long a read waits for what is known to be there."""
HOLD_S = 0.5
"""How long nothing is fetched before brokers are told to send nothing: that throws away what is
on its way, so it is not done for a moment."""
_MOVING = frozenset({KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS})
"""While partitions move the group takes no offsets; they are saved a second later."""
_log = structlog.get_logger(__name__)


class Reader:
    """See the module.

    Args:
        place: where it reads.
        ends: tells what the topic has, as `Topic.ends`; called by the thread.
        news: set on the event loop when there is something new.
        suspect: called on the event loop when positions do not fit the topic.
        grouped: whether it is a member of the group.
    """

    def __init__(
        self,
        place: Place,
        ends: Callable[[], Mapping[int, tuple[int, int]]],
        news: asyncio.Event,
        suspect: Callable[[], None],
        *,
        grouped: bool,
    ) -> None:
        self.grouped = grouped
        self.trouble = ""
        """Why nothing can be read, in a sentence; "" if something can."""
        self._place, self._ends, self._news, self._suspect = place, ends, news, suspect
        self._shelf, self._lock = Shelf(), threading.Lock()
        self._room = threading.Event()
        self._assigned: frozenset[int] = frozenset()
        self._held: set[int] = set()
        """What the consumer has been assigned, with whatever it is paused."""
        self._fetching: set[int] = set()
        self._quiet = False
        self._retry_at = 0.0
        self._unasked = ""
        """Why it is not known what there is to read, in a sentence."""
        self._closing = threading.Event()
        self._to_save: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="kafka reader", daemon=True)
        self._thread.start()

    def assigned(self) -> frozenset[int]:
        """What the group gives to this process now."""
        return self._assigned

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See `Log.read`."""
        ends_at = self._loop.time() + READ_S
        while True:
            self._news.clear()
            with self._lock:
                mine = {p: o for p, o in after.items() if self._is_mine(p)}
                self._shelf.ask(mine)
                given = self._shelf.give(mine, events_max, bytes_max)
                troubles = self._shelf.troubles(mine)
                behind = self._shelf.behind(mine)
                if not self._shelf.full:
                    self._room.set()
            self.trouble = troubles[0] if troubles else ""
            if given.messages or not (behind or troubles):
                return self._decoded(after, given)
            if troubles:
                raise StoreUnavailableError(troubles[0])
            await self._wait_until(ends_at)

    def save(self, offsets: Mapping[int, int]) -> None:
        """Have the group remember these, soon."""
        self._to_save = dict(offsets)

    async def close(self) -> None:
        """Leave the group, so that others get the partitions at once; stop."""
        self._closing.set()
        self._room.set()
        await asyncio.to_thread(self._thread.join)

    async def _wait_until(self, ends_at: float) -> None:
        try:
            async with asyncio.timeout_at(ends_at):
                await self._news.wait()
        except TimeoutError:
            raise StoreUnavailableError(
                self._unasked
                or _(
                    "Kafka at {servers} does not bring what topic {topic} has. It is asked again;"
                    " see that its brokers run."
                ).format(servers=self._place.servers, topic=self._place.topic)
            ) from None

    def _is_mine(self, partition: int) -> bool:
        return partition in self._assigned if self.grouped else True

    def _decoded(self, after: Mapping[int, int], given: Given) -> Batch:
        entries: list[Entry] = []
        reached = {**after, **given.reached}
        spoiled: dict[int, StoreError] = {}
        last = dict(after)
        for partition, fetched in given.messages:
            if partition in spoiled:
                continue
            try:
                entries.append(self._entry(partition, fetched))
                last[partition] = fetched.offset
            except StoreError as error:
                # What can be read goes on; it is said again by every read that meets nothing else.
                spoiled[partition] = error
                reached[partition] = last[partition]
        for spoil in spoiled.values():
            self.trouble = str(spoil)
            if not entries:
                raise spoil
        return Batch(tuple(entries), reached)

    def _entry(self, partition: int, fetched: Fetched) -> Entry:
        try:
            records = [record for _index, record in unpack(fetched.value, {partition})]
        except (msgspec.DecodeError, IndexError):
            records = []
        if len(records) != 1:
            raise StoreUnavailableError(
                _(
                    "The message at offset {offset} of partition {partition} of topic {topic} is"
                    " none of Comporta's. Find out who writes there; delete records up to it"
                    " (kafka-delete-records.sh) to go on."
                ).format(offset=fetched.offset - 1, partition=partition, topic=self._place.topic)
            )
        return Entry(fetched.offset, records[0])

    # The thread

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._session()
            except KafkaException as error:
                _log.error("consumer.failed", error=str(unavailable(self._place, error)))
            except Exception:  # noqa: BLE001  (a supervisor: logged, and begun anew)
                _log.exception("consumer.failed")
            else:
                continue
            self._closing.wait(RETRY_S)

    def _session(self) -> None:
        consumer = Consumer(told(self._place, self._place.consumer(), on_commit=self._on_saved))
        try:
            if self.grouped:
                consumer.subscribe(
                    [self._place.topic],
                    on_assign=self._on_assign,
                    on_revoke=self._on_revoke,
                    on_lost=self._on_revoke,
                )
            while not self._closing.is_set():
                self._obey(consumer)
                self._save(consumer)
                self._hold_back(consumer)
                self._fetch(consumer)
            self._save(consumer)
        finally:
            consumer.close()
            self._forget()

    def _obey(self, consumer: Consumer) -> None:
        """Fetch what is read now, from where it is read, and nothing else."""
        if time.monotonic() < self._retry_at:
            return
        with self._lock:
            asked = dict(self._shelf.stretches)
        if stop := self._fetching - asked.keys():
            consumer.pause(self._where(stop))
            self._fetching -= stop
        new = {p: one for p, one in asked.items() if not one.begun and self._is_mine(p)}
        if new:
            self._begin(consumer, new)

    def _begin(self, consumer: Consumer, new: Mapping[int, Stretch]) -> None:
        try:
            ends = self._ends()
        except StoreUnavailableError as error:
            # Not yet a trouble: leaders are being replaced, and a read may wait for that.
            self._unasked, self._retry_at = str(error), time.monotonic() + RETRY_S
            return
        self._unasked = ""
        for partition, stretch in new.items():
            first, end = ends[partition]
            if stretch.read > end:
                self._loop.call_soon_threadsafe(self._suspect)
                self._refuse(stretch, self._beyond(partition, stretch.read, end))
                continue
            if 0 < stretch.read < first:
                _log.error("events.missing", partition=partition, after=stretch.read, first=first)
            with self._lock:
                if self._shelf.stretches.get(partition) is not stretch:
                    continue  # something else is read by now
                self._shelf.begin(partition, first, end)
            self._assign(consumer, partition, stretch.fetched)
        self._tell()

    def _assign(self, consumer: Consumer, partition: int, offset: int) -> None:
        if partition in self._held:
            consumer.incremental_unassign(self._where([partition]))
        consumer.incremental_assign([TopicPartition(self._place.topic, partition, offset)])
        self._held.add(partition)
        self._fetching.add(partition)
        if not self._quiet:
            consumer.resume(self._where([partition]))

    def _refuse(self, stretch: Stretch, why: str) -> None:
        stretch.trouble = why
        self._retry_at = time.monotonic() + RETRY_S
        self._tell()

    def _beyond(self, partition: int, offset: int, high: int) -> str:
        return _(
            "Partition {partition} of topic {topic} was read up to {offset}, but ends at {high}:"
            " it was made anew or has lost what it had. Restart Comporta if it was made anew;"
            " otherwise bring its brokers back with their data."
        ).format(partition=partition, topic=self._place.topic, offset=offset, high=high)

    def _save(self, consumer: Consumer) -> None:
        if saving := self._to_save:
            self._to_save = {}
            where = [TopicPartition(self._place.topic, p, o) for p, o in saving.items()]
            consumer.commit(offsets=where, asynchronous=True)

    def _hold_back(self, consumer: Consumer) -> None:
        """While there is enough, listen for changes of the group only."""
        if self._shelf.full and not self._quiet:
            self._room.clear()
            self._room.wait(HOLD_S)
        if self._shelf.full == self._quiet:
            return
        self._quiet = self._shelf.full
        change = consumer.pause if self._quiet else consumer.resume
        change(self._where(self._fetching))

    def _fetch(self, consumer: Consumer) -> None:
        first = consumer.poll(POLL_S)
        if first is None:
            return
        messages = [first, *consumer.consume(AT_A_TIME, 0)]
        with self._lock:
            for message in messages:
                self._take(message)
        self._tell()

    def _take(self, message: Message) -> None:
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is not None:
            self._take_error(error, partition, offset)
        elif partition is None or offset is None:
            return
        elif message.key() == PROBE_KEY:
            self._shelf.ended(partition, offset + 1)
        else:
            self._shelf.put(partition, offset + 1, message.value() or b"")

    def _take_error(self, error: KafkaError, partition: int | None, offset: int | None) -> None:
        if error.fatal():
            raise KafkaException(error)
        if partition is None or partition < 0:
            self.trouble = str(unavailable(self._place, error))
            _log.warning("kafka.refused", error=self.trouble)
            return
        stretch = self._shelf.stretches.get(partition)
        if stretch is None:
            return  # nobody reads it
        if error.code() == PARTITION_EOF:
            self._shelf.ended(partition, offset or 0)
        elif error.code() == OUT_OF_RANGE:
            self._shelf.restart(partition, stretch.read)  # which finds out what is wrong
            self._retry_at = time.monotonic() + RETRY_S
        else:
            stretch.trouble = str(unavailable(self._place, error))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        won = {one.partition for one in partitions}
        # From the end, and paused: from where it is read is known only once it is read.
        consumer.incremental_assign([TopicPartition(self._place.topic, p, OFFSET_END) for p in won])
        consumer.pause(self._where(won))
        self._held |= won
        self._assigned |= won
        self.trouble = ""
        _log.info("partitions.assigned", partitions=sorted(won))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        lost = {one.partition for one in partitions}
        self._assigned -= lost
        with self._lock:
            for partition in lost:
                self._shelf.drop(partition)
        consumer.incremental_unassign(self._where(lost & self._held))
        self._held -= lost
        self._fetching -= lost
        _log.info("partitions.revoked", partitions=sorted(lost))

    def _on_saved(self, error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
        if error is not None and error.code() not in _MOVING:
            _log.warning("watermark.not_saved", reason=reason_of(error))

    def _forget(self) -> None:
        with self._lock:
            self._assigned, self._shelf = frozenset(), Shelf()
        self._held, self._fetching, self._quiet = set(), set(), False
        self._tell()

    def _where(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._place.topic, partition) for partition in partitions]

    def _tell(self) -> None:
        self._loop.call_soon_threadsafe(self._news.set)
