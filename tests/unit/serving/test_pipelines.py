"""Many requests at once over one connection, of both ways, cut and answered at any moment.

Whatever the timing: every request is answered once, in order, from its own body, and is either
taken or put before the application, never half of each.
"""

import asyncio
from itertools import pairwise, permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.serving.stage import Connection, Reply, chunked, post

KINDS = ("short", "refused", "chunked", "other")


class Sent(msgspec.Struct, frozen=True):
    """A request, and what the application would say to it."""

    data: bytes
    said: bytes
    body: bytes


def request(kind: str, number: int, size: int = 1) -> Sent:
    body = b"%d:" % number + b"." * size
    url = b"/webhook/refused" if kind == "refused" else b"/webhook/t"
    if kind == "other":
        return Sent(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"GET 1.1 /health ", b"")
    data = chunked(body, url) if kind == "chunked" else post(body, url=url)
    return Sent(data, b"POST 1.1 %b %b" % (url, body), body)


def check(connection: Connection, sent: list[Sent], accepted: set[bytes]) -> None:
    """Each answer is the one to the request in its place."""
    given_replies = connection.replies
    assert len(given_replies) == len(sent)
    asked = list(connection.desk.asked)
    for one, reply in zip(sent, given_replies, strict=True):
        if one.body and one.body in accepted:
            assert reply == Reply(200, {b"server": b"test", b"content-length": b"0"}, b"")
            assert one.said not in asked
        else:
            assert (reply.status, reply.body) == (202, one.said)
            asked.remove(one.said)
    assert asked == [], "what the application was asked besides"


async def finish(connection: Connection, accepted: set[bytes], *, store_works: bool) -> None:
    """Answer all that is waited for, and let all else go on."""
    for _ in range(50):
        await connection.turn()
        while connection.desk.waiting:
            answer(connection, accepted, store_works)


def answer(connection: Connection, accepted: set[bytes], works: bool) -> None:
    if works:
        accepted.add(connection.desk.waiting[0].body)
    connection.answer(works)


@pytest.mark.parametrize("order", list(permutations(KINDS)), ids=" ".join)
@pytest.mark.parametrize("works", [True, False])
def test_requests_in_one_packet_are_answered_in_order(order: tuple[str, ...], works: bool) -> None:
    async def run() -> None:
        connection, accepted = Connection(), set[bytes]()
        sent = [request(kind, number) for number, kind in enumerate(order + order)]
        connection.arrive(b"".join(one.data for one in sent))
        await finish(connection, accepted, store_works=works)
        check(connection, sent, accepted)
        connection.lose()

    asyncio.run(run())


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_the_cuts_and_moments_each_request_gets_its_own_answer(
    data: st.DataObject,
) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    sizes = st.sampled_from([0, 1, 40, 3000])
    sent = [request(kind, number, data.draw(sizes)) for number, kind in enumerate(kinds)]
    stream = b"".join(one.data for one in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))

    async def run() -> None:
        connection, accepted = Connection(), set[bytes]()
        for start, end in pairwise(sorted({0, len(stream), *cuts})):
            connection.arrive(stream[start:end])
            if data.draw(st.booleans()):
                await connection.turn()
            may_answer = data.draw(st.booleans())
            if may_answer and connection.desk.waiting:
                answer(connection, accepted, data.draw(st.booleans()))
                if data.draw(st.booleans()):
                    await connection.turn()
        await finish(connection, accepted, store_works=data.draw(st.booleans()))
        check(connection, sent, accepted)
        connection.lose()

    asyncio.run(run())


def test_a_refused_request_was_given_the_body_of_the_next_one() -> None:
    async def run() -> None:
        connection = Connection()
        first, second = request("short", 1), request("chunked", 2)
        connection.arrive(first.data + second.data[:-12])
        connection.answer(accepted=False)
        connection.arrive(second.data[-12:])
        await connection.turn()
        assert connection.desk.asked == [first.said, second.said]
        connection.lose()

    asyncio.run(run())


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_refused_request_was_answered_as_if_it_were_the_next_one(version: bytes) -> None:
    async def run() -> None:
        connection = Connection()
        first = request("short", 1)
        second = b"GET /last HTTP/%b\r\nHost: x\r\nConnection: close\r\n\r\n" % version
        connection.arrive(first.data + second)
        connection.answer(accepted=False)
        await connection.turn()
        assert [one.body for one in connection.replies] == [
            first.said,
            b"GET %b /last " % version,
        ]
        assert connection.wire.closed

    asyncio.run(run())


@pytest.mark.parametrize("cut", [3, 8, 18, 30])
def test_a_refusal_while_the_next_head_arrives_leaves_that_head_whole(cut: int) -> None:
    async def run() -> None:
        connection = Connection()
        first, second = request("short", 1), b"GET /last HTTP/1.1\r\nHost: other\r\n\r\n"
        connection.arrive(first.data + second[:cut])
        connection.answer(accepted=False)
        connection.arrive(second[cut:])
        await connection.turn()
        assert connection.desk.asked == [first.said, b"GET 1.1 /last "]
        assert dict(connection.protocol.headers)[b"host"] == b"other"
        connection.lose()

    asyncio.run(run())
