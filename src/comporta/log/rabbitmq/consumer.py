"""One partition's queue, as its owner consumes it: what was delivered and is not acknowledged yet.

The window is the same for every consumer, always. A quorum queue puts what a lost consumer held
behind what came back to it before, so the next consumer has to take all of that at once: with a
smaller window, a second loss in a row would change the order. (`rabbit_fifo.erl`: `return_one`
appends, `checkout` fills a new consumer's window in one step.) It must not be made smaller, not
even by a new version, while an older one runs.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import aiormq
import aiormq.abc
import msgspec
import structlog

from comporta.domain.event import Record
from comporta.errors import SchemaTooNewError, StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.frames import unpack
from comporta.log.rabbitmq.link import Connection, Link, asking, unavailable

WINDOW: Final = 16
"""Messages that a consumer may hold; see the module."""
ANSWER_S: Final = 5.0
RETRY_S: Final = 0.2
LOOK_S, LOOKS_MAX = 0.01, 50
_log = structlog.get_logger(__name__)


class Frame(msgspec.Struct, gc=False):
    """One message: records that were appended together."""

    tag: int
    last: int
    """Offset of its last record; the others have those before it."""
    records: tuple[Record, ...]
    size: int
    """Bytes of the message."""
    error: StoreError | None = None
    """Why it cannot be read."""


class Consumer:
    """Consumes until it is closed, over any number of connections.

    Args:
        link: the connection.
        partition: whose records these are.
        queue: its name.
        above: offsets given out are above this one.
        arrived: called after each message.
    """

    def __init__(
        self, link: Link, partition: int, queue: str, above: int, arrived: Callable[[], None]
    ) -> None:
        self.partition = partition
        self.frames: deque[Frame] = deque()
        self.top = above
        """The highest offset that was given out here."""
        self.failure: StoreError | None = None
        """Why it does not consume now."""
        self.settled = asyncio.Event()
        """All that was in the queue is here, as far as the window goes."""
        self._link, self._queue, self._arrived = link, queue, arrived
        self._channel: aiormq.abc.AbstractChannel | None = None
        self._tag = 0
        self._wake = asyncio.Event()
        self._ended = self._left = False
        self._task = asyncio.create_task(self._run())

    @property
    def held_bytes(self) -> int:
        """Of what is not acknowledged."""
        return sum(frame.size for frame in self.frames)

    @property
    def held_records(self) -> int:
        """How many are not acknowledged."""
        return sum(len(frame.records) for frame in self.frames)

    def unsettle(self) -> None:
        """There may be more in the queue than is known here."""
        self.settled.clear()
        self._wake.set()

    async def acknowledge(self, offset: int) -> None:
        """Let the queue forget the messages that end at or before `offset`."""
        was_full, tag = len(self.frames) >= WINDOW, 0
        while self.frames and self.frames[0].last <= offset:
            tag = self.frames.popleft().tag
        if tag and self._channel is not None:
            try:
                async with asking(self._link.where, ANSWER_S):
                    await self._channel.basic_ack(tag, multiple=True, wait=False)
            except StoreError:
                self._end()  # it comes again, and is known as a repeat
            if was_full:
                self.unsettle()

    def leave(self) -> asyncio.Task[None]:
        """Stop; what is not acknowledged goes back into the queue. The task ends when that is so.

        The channel is closed for it: a consumer that is only cancelled keeps what it holds, while
        the next one gets what comes after.
        """
        self._left = True
        self.frames.clear()
        self._wake.set()
        if self._channel is None:
            self._task.cancel()  # else it ends by itself: an answer that is under way is waited for
        return self._task

    async def _run(self) -> None:
        while not self._left:
            try:
                await self._consume(await self._link.connected())
            except StoreError as error:
                self.failure = error
            except Exception as error:  # noqa: BLE001  (a supervisor: logged, and told)
                _log.exception("rabbitmq.consumer_failed", queue=self._queue)
                self.failure = unavailable(self._link.where, type(error).__name__)
            self._forget()
            if not self._left:
                await asyncio.sleep(RETRY_S)

    def _forget(self) -> None:
        """What was delivered on a channel that is gone comes again, with other offsets."""
        self.frames.clear()
        self.settled.clear()
        self._tag, self._channel = 0, None
        self.top = max(self.top, time.time_ns() // 1000)

    async def _consume(self, connection: Connection) -> None:
        async with asking(self._link.where, ANSWER_S):
            # With a buffer that can be full, what comes for a channel that has just been closed
            # would hold up the whole connection. The window bounds it.
            channel = await connection.channel(publisher_confirms=False, frame_buffer_size=0)
        self._channel, self._ended = channel, False
        channel.on_consumer_cancel_callbacks.add(lambda _frame: self._end())
        channel.closing.add_done_callback(lambda _closed: self._end())
        try:
            async with asking(self._link.where, ANSWER_S):
                await channel.basic_qos(prefetch_count=WINDOW)
                await channel.basic_consume(self._queue, self._delivered)
            self.failure = None
            while not self._ended and not self._left:
                self._wake.clear()
                await self._settle(channel)
                await self._wake.wait()
            if not self._left:
                raise unavailable(self._link.where, _("a queue's consumer ended"))
        finally:
            with suppress(StoreError):
                async with asking(self._link.where, ANSWER_S):
                    await channel.close()

    def _end(self) -> None:
        self._ended = True
        self._wake.set()

    async def _settle(self, channel: aiormq.abc.AbstractChannel) -> None:
        """Wait until what is in the queue is here, and say so.

        It does not come while another process still holds the queue; that is not waited for.
        """
        for _look in range(LOOKS_MAX):
            full = len(self.frames) >= WINDOW
            if full or self._left or self._ended or not await self._ready(channel):
                break
            await asyncio.sleep(LOOK_S)
        # What was sent to us before that answer is here before the next one.
        await self._ready(channel)
        if not self._wake.is_set():
            self.settled.set()
            self._arrived()

    async def _ready(self, channel: aiormq.abc.AbstractChannel) -> int:
        async with asking(self._link.where, ANSWER_S):
            found = await channel.queue_declare(self._queue, passive=True)
        return found.message_count or 0

    async def _delivered(self, message: aiormq.abc.DeliveredMessage) -> None:
        if self._left or message.channel is not self._channel:
            return
        self._tag += 1
        if message.delivery_tag != self._tag:  # a client that mixes them up would mix up events
            self._end()
            return
        frame = self._frame(message.body)
        self.top = frame.last
        self.frames.append(frame)
        self._arrived()

    def _frame(self, body: bytes) -> Frame:
        records: tuple[Record, ...] = ()
        error: StoreError | None = None
        try:
            records = tuple(record for _index, record in unpack(body, range(256)))
        except SchemaTooNewError as newer:
            error = newer
        except msgspec.DecodeError as damage:
            error = self._foreign(str(damage))
        if any(record.partition != self.partition for record in records):
            records, error = (), self._foreign(_("it belongs to another partition"))
        return Frame(self._tag, self.top + (len(records) or 1), records, len(body), error)

    def _foreign(self, reason: str) -> StoreError:
        return StoreUnavailableError(
            _(
                'The queue "{queue}" on RabbitMQ at {where} holds a message that is no event of'
                " this log: {reason}. Look at who else writes there, and take it out."
            ).format(queue=self._queue, where=self._link.where, reason=reason)
        )
