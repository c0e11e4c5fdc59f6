"""Appending to Kafka: one idempotent producer, one message a record, and who waits for which.

The client library batches, sends and repeats on threads of its own. What became of each message is
asked on the event loop, every millisecond while there is something to hear: a thread that waited
for it would have to win the interpreter from a busy loop for every single message.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from comporta.domain.event import Record
from comporta.errors import StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.coalescing import tell
from comporta.log.common import with_uid
from comporta.log.frames import pack
from comporta.log.kafka.client import ALL_BROKERS_DOWN, PURGED, misconfigured, told, unavailable
from comporta.log.kafka.place import MESSAGE_TIMEOUT_MS, PROBE_KEY, Place
from comporta.log.port import Receipt

BUSY_S = 0.001
IDLE_S = 0.1
"""How often librdkafka is heard while nothing is under way: for its errors and its log."""
CLOSE_S = MESSAGE_TIMEOUT_MS / 1000 + 1
PROBE_S = 1.0
_OWN_FAULT = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, PURGED})
"""Says something about the message, and nothing about the cluster."""
_log = structlog.get_logger(__name__)


class _Sent:
    """A message under way; called by librdkafka's client with what became of it."""

    __slots__ = ("body_bytes", "error", "message", "receipt", "reports")

    def __init__(self, receipt: Receipt, body_bytes: int, reports: "deque[_Sent]") -> None:
        self.receipt, self.body_bytes, self.reports = receipt, body_bytes, reports

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        self.error, self.message = error, message
        self.reports.append(self)


class Writer:
    """The producer of one process.

    Args:
        place: where it writes to.
        failed: told on the event loop that messages are not confirmed, or may not be: a sentence,
            or "" if it is only a suspicion.
        observe: called after each group that became durable with its records and the seconds that
            the first of them took.
    """

    def __init__(
        self,
        place: Place,
        failed: Callable[[str], None],
        observe: Callable[[int, float], None] | None,
    ) -> None:
        self.pending_bytes = 0
        self._place, self._failed, self._observe = place, failed, observe
        self._reports: deque[_Sent] = deque()
        self._under_way = 0
        self._broken = False
        self._producer: Producer
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle

    def start(self) -> None:
        """Begin; on the event loop that will call `hand_over`.

        Raises:
            ConfigError: librdkafka does not take an option of the URL.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._producer = self._make()
        except KafkaException as error:
            raise misconfigured(error) from None
        self._timer = self._loop.call_later(IDLE_S, self._hear)

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See `Log.hand_over`."""
        record = with_uid(record)
        sent = _Sent(receipt, len(record.body), self._reports)
        self._produce(pack([record]), None, record.partition, sent)

    def refuse(self, receipt: Receipt, error: StoreError) -> None:
        """Tell a receipt soon; not at once, for its caller is not ready yet."""
        self._loop.call_soon(tell, receipt, error)

    async def probe(self, partition: int) -> None:
        """Have a message confirmed that is no event; readers pass over it.

        What brokers say of themselves is no proof: one that has lost the others and the controller
        goes on naming them.

        Raises:
            StoreUnavailableError: it is not, within a second.
        """
        confirmed: asyncio.Future[object] = self._loop.create_future()
        self._produce(None, PROBE_KEY, partition, _Sent(confirmed, 0, self._reports))
        try:
            async with asyncio.timeout(PROBE_S):
                await confirmed
        except TimeoutError:
            raise StoreUnavailableError(
                _("Kafka at {servers} confirms nothing. See that its brokers run.").format(
                    servers=self._place.servers
                )
            ) from None

    async def close(self) -> None:
        """Have confirmed what was handed over, as far as that goes; then stop."""
        self._timer.cancel()
        await asyncio.to_thread(self._producer.flush, CLOSE_S)
        await asyncio.to_thread(_drop, self._producer)
        self._settle()

    def _produce(self, value: bytes | None, key: bytes | None, partition: int, sent: _Sent) -> None:
        try:
            self._producer.produce(
                self._place.topic, value, key=key, partition=partition, on_delivery=sent
            )
        except BufferError:
            full = _("Too much waits for Kafka at {servers} already. Try again later.")
            error = StoreUnavailableError(full.format(servers=self._place.servers))
            self.refuse(sent.receipt, error)
            return
        except KafkaException as failure:
            self.refuse(sent.receipt, unavailable(self._place, failure))
            self._said(failure.args[0])
            return
        self.pending_bytes += sent.body_bytes
        self._under_way += 1
        if self._under_way == 1:
            self._hear_in(BUSY_S)

    def _make(self) -> Producer:
        return Producer(told(self._place, self._place.producer(), error_cb=self._said))

    def _hear_in(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._hear)

    def _hear(self) -> None:
        self._producer.poll(0)
        if self._broken:
            self._renew()
        self._settle()
        self._hear_in(BUSY_S if self._under_way else IDLE_S)

    def _settle(self) -> None:
        """Tell those whose messages have been decided about."""
        done, longest_s = 0, 0.0
        while self._reports:
            sent = self._reports.popleft()
            self._under_way -= 1
            self.pending_bytes -= sent.body_bytes
            if sent.error is None:
                # The first of them has waited longest.
                longest_s = longest_s if done else sent.message.latency() or 0.0
                done += 1
            tell(sent.receipt, self._judged(sent.error))
        if done and self._observe is not None:
            self._observe(done, longest_s)

    def _judged(self, error: KafkaError | None) -> StoreError | None:
        if error is None:
            return None
        failure = unavailable(self._place, error)
        if error.code() not in _OWN_FAULT:
            self._failed(str(failure))
        return failure

    def _said(self, error: KafkaError) -> None:
        """An error of the client as a whole; called in `poll`."""
        self._broken = self._broken or error.fatal()
        if error.fatal() or error.code() == ALL_BROKERS_DOWN:
            self._failed("")

    def _renew(self) -> None:
        """A producer that broke its row of numbers for good can only be made anew."""
        _log.error("producer.renewed", topic=self._place.topic)
        threading.Thread(target=_drop, args=(self._producer,), daemon=True).start()
        self._broken = False
        self._producer = self._make()


def _drop(producer: Producer) -> None:
    """Give up what it still has, which is reported like anything else, and end it. Blocks."""
    producer.purge()
    producer.close()
