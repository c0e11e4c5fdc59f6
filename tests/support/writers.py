"""Tasks that append while something happens to the server, and what they have to find then."""

import asyncio
from collections.abc import Iterable

import msgspec

from comporta.domain.event import Record
from comporta.errors import StoreUnavailableError
from comporta.log.port import Log
from comporta.testing.conformance.records import until

WRITERS = 24
APPENDS_S = 12.0


class Writers:
    """Each appends in an order of its own, for as long as it is told to.

    A record that is not acknowledged is appended again with the same id, as the spool does.
    """

    def __init__(self, log: Log) -> None:
        self._log, self._go_on = log, True
        self.acknowledged: list[list[bytes]] = [[] for _ in range(WRITERS)]

    @property
    def count(self) -> int:
        return sum(len(mine) for mine in self.acknowledged)

    async def go_on(self) -> None:
        """Return when many more are acknowledged."""
        seen = self.count

        async def more() -> bool:
            return self.count > seen + 300

        await until("appends go on", more, 20.0)

    def stop(self) -> None:
        self._go_on = False

    async def run(self, writer: int, one: Record) -> None:
        """Append copies of a record with bodies that tell writer and number."""
        number = 0
        while self._go_on:
            body = b"%d %d " % (writer, number) + b"\0\xff" * (number % 400)
            uid = body[:16].ljust(16)
            partition = writer % self._log.partitions
            await self._append(
                msgspec.structs.replace(one, body=body, uid=uid, partition=partition)
            )
            self.acknowledged[writer].append(body)
            number += 1

    async def _append(self, one: Record) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    async with asyncio.timeout(APPENDS_S):
                        await self._log.append(one)
                except StoreUnavailableError:
                    await asyncio.sleep(0.02)
                else:
                    return

    def check(self, found: Iterable[Record]) -> None:
        """All that was acknowledged is there, whole and in order, repeats by their id aside."""
        known: set[bytes] = set()
        bodies: list[bytes] = []
        for one in found:
            if one.uid not in known:
                bodies.append(one.body)
            known.add(one.uid)
        for writer, mine in enumerate(self.acknowledged):
            theirs = [body for body in bodies if body.startswith(b"%d " % writer)]
            assert theirs[: len(mine)] == mine
