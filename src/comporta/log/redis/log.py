"""A log in Redis Streams: one stream a partition, a group of appends one entry a partition.

There are no consumer groups: how far a partition is read is in the ledger, written with the events
themselves, and a second position beside it could only contradict. Streams are cut off behind the
watermark. What is acknowledged is as durable as the server makes it, so its settings are looked at
when it answers, and again and again. See `scripts` for the keys.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from comporta.clients.redis import RedisServer
from comporta.domain.event import Record
from comporta.domain.growth import Room
from comporta.errors import ConfigError, StoreError, StoreUnavailableError
from comporta.log.coalescing import GROUP_BYTES_MAX, Coalescer
from comporta.log.common import check_partitions, with_uid
from comporta.log.frames import pack
from comporta.log.port import Batch, LogHealth, Receipt
from comporta.log.redis.reading import StreamReader
from comporta.log.redis.scripts import APPEND, COMMIT, LAG, SCRIPTS, keys_of
from comporta.log.redis.watch import RedisWatch

COMMIT_PERIOD_S = 0.1
FRAME_BYTES_SPARE = 1 << 20
"""For what stands around the bodies in a frame."""


class RedisLog:
    """The `Broker` port on Redis.

    Args:
        url: see `clients/redis_url.py`; `?prefix=` says where the keys stand.
        partitions: 1 to 62; must stay the same for a prefix.
        body_bytes_max: of one record.
        observe: called after each group with the number of records and the seconds it took.

    Raises:
        ConfigError: the URL or the number of partitions cannot be used.
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
        self._server = RedisServer(url, SCRIPTS)
        self._prefix = self._server.address.prefix
        self._watch = RedisWatch(
            self._server, partitions, body_bytes_max + GROUP_BYTES_MAX + FRAME_BYTES_SPARE
        )
        self._observe = observe
        self._coalescer = Coalescer(self._send)
        self._reader = StreamReader(self._server)
        self._appended = asyncio.Event()
        self._watermark: dict[int, int] = {}
        self._saved: dict[int, int] = {}
        self._saved_at = 0.0

    async def open(self) -> None:
        """Look at the server, and begin. One that is away shows in `health`, not here.

        Raises:
            ConfigError: what is acknowledged would be lost with the server's settings, or the
                prefix was made with another number of partitions.
        """
        try:
            await self._watch.start()
        except ConfigError:
            await self._server.aclose()
            raise
        self._coalescer.start()

    async def close(self) -> None:
        """Finish what was appended, save the watermark, hang up."""
        await self._coalescer.close()
        await self._watch.close()
        # What is lost of the watermark is only read again.
        with suppress(StoreError):
            await self._save_watermark()
        await self._server.aclose()

    async def identity(self) -> str:
        """See the port. Offsets are above the clock, so other data under the prefix is the same."""
        return f"redis:{self._prefix}"

    def assigned(self) -> frozenset[int] | None:
        """See the port."""
        return None

    def append(self, record: Record) -> asyncio.Future[object]:
        """See the port."""
        return self._coalescer.append(with_uid(record))

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        """See the port."""
        self._coalescer.hand_over(with_uid(record), receipt)

    @property
    def pending_bytes(self) -> int:
        """See the port."""
        return self._coalescer.pending_bytes

    async def wait(self, timeout_s: float) -> None:
        """Return when this process has appended something, or after `timeout_s`.

        What other processes append is found by reading again after the timeout.
        """
        self._appended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._appended.wait()

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See the port."""
        return await self._reader.read(after, events_max, bytes_max)

    async def commit(self, watermark: Mapping[int, int]) -> None:
        """See the port. Saved ten times a second: what is lost of it is only read again."""
        self._watermark.update(watermark)
        if time.monotonic() - self._saved_at >= COMMIT_PERIOD_S:
            self._saved_at = time.monotonic()
            await self._save_watermark()

    async def committed(self) -> dict[int, int]:
        """See the port. Streams are trimmed behind it: nothing below is left."""
        return {}

    async def lag(self) -> int:
        """See the port."""
        answers = await self._server.many([LAG.call(self._keys(p)) for p in range(self.partitions)])
        for answer in answers:
            if isinstance(answer, StoreUnavailableError):
                raise answer
        return sum(answers)

    async def room(self) -> Room:
        """What the streams have of the server's memory; what is free if it has a bound."""
        streams = [self._keys(partition)[0] for partition in range(self.partitions)]
        used = await self._server.many([("MEMORY USAGE", stream) for stream in streams])
        spare_bytes = 0
        for _where, info in await self._server.everywhere("INFO", "memory"):
            if isinstance(info, dict) and info.get("maxmemory"):
                spare_bytes += max(0, int(info["maxmemory"]) - int(info["used_memory"]))
        return Room(sum(one for one in used if isinstance(one, int)), spare_bytes)

    async def probe(self) -> None:
        """See the port."""
        await self._watch.probe()

    def health(self) -> LogHealth:
        """See the port."""
        return LogHealth("redis", self._watch.error, warnings=tuple(self._watch.warnings))

    def _keys(self, partition: int) -> tuple[str, str]:
        return keys_of(self._prefix, partition)

    async def _send(self, records: Sequence[Record]) -> list[StoreError | None]:
        """Append a group: a frame a partition, all together."""
        self._watch.refuse_if_away()
        parts: dict[int, list[Record]] = {}
        for record in records:
            parts.setdefault(record.partition, []).append(record)
        began_at = time.perf_counter()
        calls = [APPEND.call(self._keys(p), len(own), pack(own)) for p, own in parts.items()]
        try:
            answers = await self._server.many(calls)
        except StoreUnavailableError as error:
            self._watch.fail(error)
            raise
        failed: dict[int, StoreError] = {}
        for partition, answer in zip(parts, answers, strict=True):
            if isinstance(answer, StoreUnavailableError):
                failed[partition] = answer
                self._watch.fail(answer)
        self._count(sum(len(own) for p, own in parts.items() if p not in failed), began_at)
        return [failed.get(record.partition) for record in records]

    def _count(self, durable: int, began_at: float) -> None:
        if durable:
            self._appended.set()
            if self._observe is not None:
                self._observe(durable, time.perf_counter() - began_at)

    async def _save_watermark(self) -> None:
        new = {p: at for p, at in self._watermark.items() if at > self._saved.get(p, 0)}
        if not new:
            return
        calls = [COMMIT.call(self._keys(p), at, at + 1) for p, at in new.items()]
        for (partition, at), answer in zip(
            new.items(), await self._server.many(calls), strict=True
        ):
            if not isinstance(answer, StoreUnavailableError):  # else the next time
                self._saved[partition] = at
