"""The short way of one request at a time, and who is sent the long way instead."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.serving.stage import Connection, Reply, chunked, post

from comporta.serving import HEAD_BYTES_MAX, SHORT_BODY_BYTES_MAX

DATA = b'{"event":"message_created"}'


def on_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(run())


def test_nothing_is_said_before_the_event_is_durable_and_then_an_empty_200() -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(post(DATA, b"X-Chatwoot-Delivery: AbC"))
        await connection.turn()
        assert connection.wire.sent == b""
        (taken,) = connection.desk.taken
        assert (taken.url, taken.body) == (b"/webhook/t", DATA)
        assert (b"x-chatwoot-delivery", b"AbC") in taken.headers
        connection.answer()
        assert connection.replies == [
            Reply(200, {b"server": b"test", b"content-length": b"0"}, b"")
        ]
        assert not connection.wire.closed
        assert connection.desk.asked == []
        connection.protocol.connection_lost(None)

    on_loop(test)


def test_a_kept_connection_takes_one_after_the_other() -> None:
    async def test() -> None:
        connection = Connection()
        for number in range(50):
            connection.arrive(post(b"%d" % number))
            connection.answer()
        assert [one.body for one in connection.desk.taken] == [b"%d" % n for n in range(50)]
        assert [one.status for one in connection.replies] == [200] * 50
        assert connection.state.total_requests == 50
        connection.lose()

    on_loop(test)


@pytest.mark.parametrize(
    "data",
    [
        post(DATA, version=b"1.0"),
        post(DATA, b"Connection: keep-alive", version=b"1.0"),
        post(DATA, b"Connection: close"),
        post(DATA, b"cOnNeCtIoN: Close"),
    ],
)
@pytest.mark.parametrize("accepted", [True, False])
def test_who_wants_the_connection_closed_is_answered_and_it_is(data: bytes, accepted: bool) -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(data)
        connection.answer(accepted)
        await connection.turn()
        (reply,) = connection.replies
        assert reply.status == (200 if accepted else 202)
        assert reply.headers[b"connection"] == b"close"
        assert connection.wire.closed

    on_loop(test)


@pytest.mark.parametrize("url", [b"/webhook/refused", b"/webhook/t"])
def test_what_is_not_accepted_is_put_before_the_application_once_and_whole(url: bytes) -> None:
    async def test() -> None:
        connection = Connection()
        for _ in range(2):  # the connection goes on
            connection.arrive(post(DATA, url=url))
            if connection.desk.waiting:
                connection.answer(accepted=False)
            await connection.turn()
        said = b"POST 1.1 " + url + b" " + DATA
        assert connection.desk.asked == [said, said]
        assert [one.body for one in connection.replies] == [said, said]
        assert not connection.wire.closed
        connection.lose()

    on_loop(test)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_request_in_pieces_is_taken_whole(size: int) -> None:
    async def test() -> None:
        connection = Connection()
        data = post(bytes(range(256)) * 8)
        connection.arrive(*(data[at : at + size] for at in range(0, len(data), size)))
        connection.answer()
        assert connection.desk.taken[0].body == bytes(range(256)) * 8
        assert len(connection.replies) == 1
        connection.lose()

    on_loop(test)


@pytest.mark.parametrize(
    ("data", "is_short"),
    [
        (post(b"x" * SHORT_BODY_BYTES_MAX), True),
        (post(b"x" * (SHORT_BODY_BYTES_MAX + 1)), False),
        (post(b""), True),
        (post(DATA, url=b"/webhook?token=t"), True),
        (post(DATA).replace(b"Content-Length", b"cOnTent-lEngTH"), True),
        (post(DATA).replace(b"Length: 27", b"Length: 0000027"), False),
        (post(DATA).replace(b"POST", b"PUT"), False),
        (post(DATA, url=b"/health"), False),
        (post(DATA, url=b"http://x/webhook/t"), False),
        (chunked(DATA), False),
        (b"POST /webhook/t HTTP/1.1\r\nHost: x\r\n\r\n", False),
        (b"GET /webhook/t HTTP/1.1\r\nHost: x\r\n\r\n", False),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_only_plain_and_small_webhooks_go_the_short_way(data: bytes, is_short: bool) -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(data)
        await connection.turn()
        assert (len(connection.desk.taken), len(connection.desk.asked)) == (
            (1, 0) if is_short else (0, 1)
        )
        connection.lose()

    on_loop(test)


@pytest.mark.parametrize(
    "extra", [b"Content-Length: 27", b"Content-Length: 3", b"Transfer-Encoding: chunked"]
)
def test_two_lengths_are_one_too_many_and_nothing_is_taken(extra: bytes) -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(post(DATA, extra))
        await connection.turn()
        assert [one.status for one in connection.replies] == [400]
        assert connection.wire.closed
        assert not connection.desk.taken
        assert DATA not in b"".join(connection.desk.asked)

    on_loop(test)


@pytest.mark.parametrize("value", [b"-1", b"+5", b"2x", b"0x1b", b"99999999999999999999999"])
def test_a_length_that_is_no_number_is_refused(value: bytes) -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(post(DATA).replace(b"27", value))
        await connection.turn()
        assert [one.status for one in connection.replies] == [400]
        assert (connection.desk.taken, connection.desk.asked) == ([], [])

    on_loop(test)


def test_who_expects_100_continue_is_told_so_before_it_sends() -> None:
    async def test() -> None:
        connection = Connection()
        head, _, body = post(DATA, b"Expect: 100-Continue").partition(b"\r\n\r\n")
        connection.arrive(head + b"\r\n\r\n")
        await connection.turn()
        assert connection.wire.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.arrive(body)
        await connection.turn()
        assert connection.replies[-1].body.endswith(DATA)
        assert not connection.desk.taken
        connection.lose()

    on_loop(test)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_client_that_is_gone_before_the_answer_is_not_written_to(accepted: bool) -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(post(DATA))
        connection.lose()
        connection.answer(accepted)
        await connection.turn()
        assert connection.wire.sent == b""
        assert connection.desk.asked == []
        assert connection.state.connections == set()

    on_loop(test)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_shutdown_gives_the_answer_that_is_outstanding_and_then_closes(accepted: bool) -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(post(DATA))
        connection.protocol.shutdown()
        assert not connection.wire.closed
        connection.answer(accepted)
        await connection.turn()
        (reply,) = connection.replies
        assert reply.status == (200 if accepted else 202)
        assert reply.headers[b"connection"] == b"close"
        assert connection.wire.closed

    on_loop(test)


def test_a_shutdown_closes_at_once_what_waits_for_nothing() -> None:
    async def test() -> None:
        kept = Connection()
        kept.arrive(post(DATA))
        kept.answer()
        kept.protocol.shutdown()
        assert kept.wire.closed
        kept.protocol.connection_lost(None)

    on_loop(test)


@pytest.mark.parametrize("come", [0, 40])
def test_a_shutdown_waits_for_what_is_about_to_come(come: int) -> None:
    async def test() -> None:
        request = post(DATA)
        fresh = Connection()
        fresh.arrive(request[:come])
        fresh.protocol.shutdown()
        assert not fresh.wire.closed
        fresh.arrive(request[come:])
        fresh.answer()
        (reply,) = fresh.replies
        assert (reply.status, reply.headers[b"connection"]) == (200, b"close")
        assert fresh.wire.closed

    on_loop(test)


@pytest.mark.parametrize(
    ("start", "status"),
    [(b"", 408), (b"POST /webh", 408), (post(DATA)[:-1], 408), (chunked(DATA)[:-7], 408)],
)
def test_the_sweep_ends_what_takes_too_long_to_arrive(start: bytes, status: int) -> None:
    async def test() -> None:
        connection = Connection(head_timeout_s=5.0, body_timeout_s=5.0)
        if start:
            connection.arrive(start)
        now = asyncio.get_running_loop().time()
        connection.protocol.sweep(now + 4.0)
        assert not connection.wire.closed
        connection.protocol.sweep(now + 6.0)
        assert [one.status for one in connection.replies] == [status]
        assert connection.wire.closed
        connection.protocol.connection_lost(None)
        await connection.turn()

    on_loop(test)


def test_the_sweep_leaves_alone_who_waits_for_us_and_who_waits_between_requests() -> None:
    async def test() -> None:
        connection = Connection()
        never = asyncio.get_running_loop().time() + 1e6
        connection.arrive(post(DATA))
        connection.protocol.sweep(never)
        connection.answer()
        connection.protocol.sweep(never)
        assert [one.status for one in connection.replies] == [200]
        assert not connection.wire.closed
        connection.lose()

    on_loop(test)


def test_a_head_without_end_is_ended_within_its_bound() -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(b"POST /webhook/t HTTP/1.1\r\n")
        line, count = b"x: %b\r\n" % (b"y" * 1000), 0
        while not connection.wire.closed:
            connection.arrive(line)
            count += 1
        assert count * len(line) <= HEAD_BYTES_MAX + len(line)
        assert [one.status for one in connection.replies] == [431]

    on_loop(test)


def test_a_client_that_reads_no_answers_made_them_pile_up_in_memory() -> None:
    async def test() -> None:
        connection = Connection()
        connection.arrive(post(b"1"))
        connection.answer()
        connection.protocol.pause_writing()  # what was sent is not read
        for number in range(2, 10):
            connection.arrive(post(b"%d" % number))
            await connection.turn()
        assert len(connection.desk.taken) == 1, "the long way waits until there is room"
        assert len(connection.replies) == 1
        assert connection.wire.paused
        connection.protocol.resume_writing()
        for _ in range(9):
            await connection.turn()
            if connection.desk.waiting:
                connection.answer()
        assert len(connection.replies) == 9
        connection.lose()

    on_loop(test)


def test_many_requests_leave_nothing_behind() -> None:
    async def test() -> None:
        connection = Connection()
        data = post(DATA)

        def run(count: int) -> int:
            for _ in range(count):
                connection.arrive(data)
                connection.answer()
                connection.desk.taken.clear()
                connection.wire.sent = b""
            return sys.getallocatedblocks()

        gc.collect()
        gc.disable()  # nothing may need the collector, either
        try:
            before = run(1_000)
            await connection.turn()
            after = run(20_000)
        finally:
            gc.enable()
        # The cancelled keep-alive timers stay with the loop until it looks at them: some are left.
        await connection.turn()
        assert (after - before) / 20_000 < 20
        assert sys.getallocatedblocks() - before < 2_000
        connection.lose()

    on_loop(test)
