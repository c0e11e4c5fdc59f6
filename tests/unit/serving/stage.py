"""A connection for tests: the real protocol and parser, between a wire and a desk made of lists.

The wire writes down what is sent and keeps back what arrives while reading is paused, as a
transport does. The desk is both ways in: `take` for the short one, an ASGI application for the long
one, which says what it was asked.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import uvicorn
from uvicorn.server import ServerState

from comporta.ingest.accept import RawHeaders
from comporta.serving import Answer, WebhookProtocol

Message = dict[str, Any]
TURNS = 12
"""Of the loop: more than an application here needs for an answer."""


class Reply(msgspec.Struct, frozen=True):
    """One answer as the client reads it. Names of headers are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Taken(msgspec.Struct, frozen=True):
    """What the short way was given."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    answer: Answer


class Desk:
    """Takes everything, but URLs with `refused` in them; answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: deque[Taken] = deque()
        self.taken: list[Taken] = []
        self.asked: list[bytes] = []

    def take(self, url: bytes, headers: RawHeaders, body: bytes, answer: Answer) -> bool:
        if b"refused" in url:
            return False
        one = Taken(url, list(headers), body, answer)
        self.taken.append(one)
        self.waiting.append(one)
        return True

    async def app(
        self,
        scope: Message,
        receive: Callable[[], Any],
        send: Callable[[Message], Any],
    ) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        said = f"{scope['method']} {scope['http_version']} {scope['path']} ".encode() + body
        self.asked.append(said)
        length = (b"content-length", str(len(said)).encode())
        await send({"type": "http.response.start", "status": 202, "headers": [length]})
        await send({"type": "http.response.body", "body": said})


class Wire(asyncio.Transport):
    """A transport whose other end is the test."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent = b""
        self.closed = self.paused = False

    def write(self, data: Any) -> None:
        assert not self.closed, "written after the end"
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Connection:
    """One connection of a client. Made on a running loop."""

    def __init__(self, desk: Desk | None = None, **limits: float) -> None:
        self.desk = desk or Desk()
        self.state = ServerState()
        self.state.default_headers = [(b"server", b"test")]
        namespace = {"take": staticmethod(self.desk.take), "sweeps": {}, **limits}
        made: Any = type("Protocol", (WebhookProtocol,), namespace)
        config = uvicorn.Config(self.desk.app, log_config=None, interface="asgi3", ws="none")
        self.protocol: WebhookProtocol = made(config, self.state, {})
        self.wire = Wire()
        self.protocol.connection_made(self.wire)
        self._arriving: deque[bytes] = deque()

    def arrive(self, *packets: bytes) -> None:
        """Packets arrive, those now that find the protocol reading."""
        self._arriving += packets
        while self._arriving and not self.wire.paused and not self.wire.closed:
            self.protocol.data_received(self._arriving.popleft())

    async def turn(self) -> None:
        """Let the applications go on until they wait."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
            self.arrive()

    def answer(self, accepted: bool = True) -> None:
        """The oldest that the short way took is durable, or is not."""
        self.desk.waiting.popleft().answer(accepted)

    def lose(self) -> None:
        """The client is gone."""
        self.wire.closed = True
        self.protocol.connection_lost(None)

    @property
    def replies(self) -> list[Reply]:
        """All complete answers so far."""
        return replies(self.wire.sent)


def replies(sent: bytes) -> list[Reply]:
    """What a client reads from these bytes."""
    found = []
    while sent:
        head, _, sent = sent.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", b"0"))
        found.append(Reply(int(first.split()[1]), headers, sent[:length]))
        sent = sent[length:]
    return found


def post(body: bytes, *more: bytes, url: bytes = b"/webhook/t", version: bytes = b"1.1") -> bytes:
    """A plain webhook."""
    length = b"Content-Length: %d" % len(body)
    head = [b"POST %b HTTP/%b" % (url, version), b"Host: x", length, *more]
    return b"\r\n".join([*head, b"", body])


def chunked(body: bytes, url: bytes = b"/webhook/t") -> bytes:
    """The same in two chunks."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % url
    pieces = [piece for piece in (body[:3], body[3:]) if piece]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
