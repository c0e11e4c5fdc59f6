"""Reading the streams of several partitions within one bound, fairly.

A first round trip asks how far each is; so to find nothing costs one, however many there are. A
second one asks those that have something for a share each. What is too large for a share is asked
for by itself, and one that comes last now comes first another time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from comporta.clients.redis import RedisServer
from comporta.errors import StoreUnavailableError
from comporta.i18n import _
from comporta.log.frames import unpack
from comporta.log.port import Batch, Entry
from comporta.log.redis.scripts import READ, keys_of

ANY_BYTES = 1 << 40


class StreamReader:
    """Reads for one process."""

    def __init__(self, server: RedisServer) -> None:
        self._server, self._prefix = server, server.address.prefix
        self._turn = 0

    async def read(self, after: Mapping[int, int], events_max: int, bytes_max: int) -> Batch:
        """See the port.

        Raises:
            StoreUnavailableError: nothing could be read.
        """
        newest = await self._newest(list(after))
        behind = [p for p, offset in newest.items() if offset > after[p]]
        if not behind:
            return Batch((), dict(after))
        self._turn += 1
        first = self._turn % len(behind)
        asked = (behind[first:] + behind[:first])[:events_max]
        reading = _Reading(after, newest, bytes_max)
        records, size = max(1, events_max // len(asked)), bytes_max // len(asked)
        answers = await self._server.many([self._call(p, after, records, size) for p in asked])
        large = [p for p, one in zip(asked, answers, strict=True) if reading.take(p, one)]
        for partition in large:
            if reading.full:
                break
            (one,) = await self._server.many([self._call(partition, after, 1, ANY_BYTES)])
            reading.take(partition, one)
        return reading.batch()

    async def _newest(self, partitions: Sequence[int]) -> dict[int, int]:
        calls = [("HGET", keys_of(self._prefix, p)[1], "last") for p in partitions]
        answers = await self._server.many(calls)
        failures = [one for one in answers if isinstance(one, StoreUnavailableError)]
        if failures and len(failures) == len(calls):
            raise failures[0]
        # One server of a cluster may be away: what the others have is read meanwhile.
        pairs = zip(partitions, answers, strict=True)
        return {p: int(one or 0) for p, one in pairs if one not in failures}

    def _call(self, partition: int, after: Mapping[int, int], records: int, size: int) -> Any:
        entries, _meta = keys_of(self._prefix, partition)
        return READ.call([entries], after[partition], records, size)


class _Reading:
    """What one read has brought so far."""

    def __init__(self, after: Mapping[int, int], newest: Mapping[int, int], bytes_max: int) -> None:
        self._after, self._newest, self._room = after, newest, bytes_max
        self._reached = dict(after)
        self._entries: list[Entry] = []
        self._failure: StoreUnavailableError | None = None

    @property
    def full(self) -> bool:
        return self._room <= 0

    def take(self, partition: int, answer: Any) -> bool:
        """Take what the script brought; whether its first frame is too large for the share."""
        if isinstance(answer, StoreUnavailableError):
            self._failure = answer
            return False
        *frames, more = answer
        for place in range(0, len(frames), 3):
            last, count, frame = int(frames[place]), int(frames[place + 1]), frames[place + 2]
            self._unpack(partition, last - count + 1, frame)
            self._reached[partition] = last
        if not more:
            # What was trimmed meanwhile is not waited for.
            self._reached[partition] = max(self._reached[partition], self._newest[partition])
        return bool(more) and not frames

    def batch(self) -> Batch:
        if self._failure is not None and not self._entries:
            raise self._failure
        return Batch(tuple(self._entries), self._reached)

    def _unpack(self, partition: int, first: int, frame: bytes) -> None:
        self._room -= len(frame)
        try:
            for index, record in unpack(frame, {partition}):
                if first + index > self._after[partition]:
                    self._entries.append(Entry(first + index, record))
        except msgspec.DecodeError as error:
            said = _(
                "Entry {offset} of partition {partition} in Redis cannot be read: {reason}."
                " Nothing of that partition is delivered until it is repaired or deleted."
            )
            raise StoreUnavailableError(
                said.format(offset=first, partition=partition, reason=error)
            ) from None
