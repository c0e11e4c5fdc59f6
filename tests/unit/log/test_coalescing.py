"""Appends that wait together are sent together, in order, and each gets its own answer."""

import asyncio
from collections.abc import Sequence
from itertools import chain

import pytest

from comporta.domain.event import Record
from comporta.errors import StoreError, StoreUnavailableError
from comporta.log.coalescing import Coalescer
from comporta.testing.conformance.records import record


class Server:
    """Takes groups when it is let, and remembers them."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.refuses: set[bytes] = set()
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, records: Sequence[Record]) -> Sequence[StoreError | None]:
        await self.open.wait()
        self.groups.append([one.body for one in records])
        if self.error is not None:
            raise self.error
        no = StoreUnavailableError("It is full.")
        return [no if one.body in self.refuses else None for one in records]


def test_what_waits_while_a_group_is_under_way_becomes_the_next_group() -> None:
    async def run() -> list[list[bytes]]:
        server = Server()
        coalescer = Coalescer(server.send, records_max=3)
        coalescer.start()
        server.open.clear()
        waiting = [coalescer.append(record(0, b"first"))]
        await asyncio.sleep(0)
        waiting += [coalescer.append(record(0, b"%d" % n)) for n in range(5)]
        assert coalescer.pending_bytes == 10
        server.open.set()
        await asyncio.gather(*waiting)
        assert coalescer.pending_bytes == 0
        await coalescer.close()
        return server.groups

    groups = asyncio.run(run())
    assert [len(group) for group in groups] in ([3, 3], [1, 3, 2])
    assert [*chain(*groups)] == [b"first", b"0", b"1", b"2", b"3", b"4"]


def test_a_group_ends_with_the_record_that_fills_it() -> None:
    async def run() -> list[list[bytes]]:
        server = Server()
        coalescer = Coalescer(server.send, bytes_max=10)
        waiting = [coalescer.append(record(0, b"x" * 9)) for _ in range(4)]
        coalescer.start()
        await asyncio.gather(*waiting)
        await coalescer.close()
        return server.groups

    assert [len(group) for group in asyncio.run(run())] == [2, 2]


def test_each_record_gets_its_own_answer_and_one_failure_can_be_that_of_all() -> None:
    async def run() -> None:
        server = Server()
        server.refuses = {b"1"}
        coalescer = Coalescer(server.send)
        coalescer.start()
        waiting = [coalescer.append(record(0, b"%d" % n)) for n in range(3)]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in answers] == [type(None), StoreUnavailableError, type(None)]
        for error in (StoreUnavailableError("away"), RuntimeError("a defect")):
            server.error = error
            with pytest.raises(type(error)):
                await coalescer.append(record())
        server.error = None
        await coalescer.append(record())
        assert coalescer.pending_bytes == 0
        await coalescer.close()

    asyncio.run(run())


def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    async def run() -> list[list[bytes]]:
        server = Server()
        coalescer = Coalescer(server.send)
        waiting = [coalescer.append(record(0, b"%d" % n)) for n in range(4)]
        waiting[0].cancel()
        waiting[2].cancel()
        coalescer.start()
        await asyncio.gather(waiting[1], waiting[3])
        assert coalescer.pending_bytes == 0
        await coalescer.close()
        return server.groups

    assert asyncio.run(run()) == [[b"1", b"3"]]


def test_closing_sends_what_was_appended() -> None:
    async def run() -> list[list[bytes]]:
        server = Server()
        coalescer = Coalescer(server.send, records_max=2)
        coalescer.start()
        waiting = [coalescer.append(record(0, b"%d" % n)) for n in range(5)]
        await coalescer.close()
        await asyncio.gather(*waiting)
        return server.groups

    assert [*chain(*asyncio.run(run()))] == [b"%d" % n for n in range(5)]
