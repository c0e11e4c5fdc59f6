"""A connection to a sink, and what the connections share: HTTP in, a judgement and an answer out.

It listens nowhere; `comporta.testing.sink` does.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import Literal, cast

import httptools
import msgspec

from comporta.testing.observed import Arrival, Observed, SinkReport, look
from comporta.testing.standard_webhooks import is_signed, key_of

BODY_BYTES_MAX = 32 * 1024 * 1024
HEADER_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 4_096
DELAY_S_MAX = 600.0
_KEPT = frozenset(
    {
        b"webhook-id",
        b"webhook-timestamp",
        b"webhook-signature",
        b"comporta-instance",
    }
)
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_PART_OF_ANSWER = {
    "half_head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no_body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    "reset": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
}
"""What goes out of an answer that is never finished."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time at all: closing sends RST instead of FIN."""

Mode = Literal["accept", "fail", "hang", "cut", "half_head", "no_body", "reset"]
OnArrival = Callable[[Arrival], None]


class SinkBehaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How deliveries are answered. The default takes all of them at once."""

    mode: Mode = "accept"
    """fail: answer `status`; hang: never answer; cut: drop the connection.

    And such as lie, for they have taken the delivery. half_head: drop the connection in the middle
    of the 200's head; no_body: the whole head of a 200, and never the body that it promises; reset:
    the same with half of the body, and RST. Where the head went out, the answer counts as given.
    """
    share: float = 1.0
    """The share of deliveries, at random, that `mode` applies to; the others are accepted."""
    status: int = 503
    """For fail; 410 tells a gateway to stop for good."""
    retry_after_s: int | None = None
    """For fail: the `Retry-After` header, in seconds."""
    delay_s: float = 0.0
    """Before any answer."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if not 0 <= self.share <= 1:
            raise ValueError("`share` has to be between 0 and 1")
        if not 300 <= self.status <= 599:  # noqa: PLR2004
            raise ValueError("`status` has to be between 300 and 599")
        if not 0 <= self.delay_s <= DELAY_S_MAX:
            raise ValueError(f"`delay_s` has to be between 0 and {DELAY_S_MAX:.0f}")


class SinkState:
    """What a sink's connections share: how to answer, and what was seen."""

    def __init__(
        self,
        secret: str | None,
        behaviour: SinkBehaviour,
        on_arrival: OnArrival | None,
        seed: int,
    ) -> None:
        self.behaviour = behaviour
        self.observed = Observed()
        self.connections: set[SinkConnection] = set()
        self._key = key_of(secret) if secret else None
        self._on_arrival = on_arrival
        self._random = Random(seed)  # noqa: S311  (which deliveries fail is no secret)

    def report(self) -> SinkReport:
        """What it saw so far."""
        return self.observed.report()

    def misbehaves(self) -> bool:
        """Whether the next delivery is among the share that `behaviour.mode` applies to."""
        behaviour = self.behaviour
        if behaviour.mode == "accept":
            return False
        return behaviour.share == 1 or self._random.random() < behaviour.share

    def is_signed(self, headers: dict[bytes, str], body: bytes) -> bool:
        """Whether the signature is right, or not asked for."""
        return self._key is None or is_signed(
            self._key,
            headers.get(b"webhook-id", ""),
            headers.get(b"webhook-timestamp", ""),
            headers.get(b"webhook-signature", ""),
            body,
            time.time(),
        )

    def note(self, arrival: Arrival) -> None:
        """Judge and hand on an arrival."""
        self.observed.add(arrival)
        if self._on_arrival:
            self._on_arrival(arrival)


class SinkConnection(asyncio.Protocol):
    """One connection to a sink; requests are answered one after another."""

    def __init__(self, sink: SinkState, loop: asyncio.AbstractEventLoop) -> None:
        self._sink = sink
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: Arrival | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: the connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # not a subclass on uvloop
        self._sink.connections.add(self)
        if len(self._sink.connections) > CONNECTIONS_MAX:
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's name)
        """Asyncio: the connection is gone."""
        self._sink.connections.discard(self)
        if self._timer:
            self._timer.cancel()
        if self._waiting:  # the sender gave up: what it does not know was not accepted
            self._sink.note(msgspec.structs.replace(self._waiting, status=0))
            self._waiting = None

    def drop(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Asyncio: part of a request is here."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._sink.observed.malformed += 1
            self.drop()

    def on_message_begin(self) -> None:
        """Parser: a request begins; one that does not wait for the last one's answer is cut off."""
        if self._busy:
            self._sink.observed.malformed += 1
            self.drop()
        self._url = b""
        self._headers: dict[bytes, str] = {}
        self._header_bytes = self._body_bytes = 0
        self._pieces: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """Parser: a piece of the path."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        self._header_bytes += len(name) + len(value)
        lower = name.lower()
        if lower in _KEPT:
            self._headers[lower] = value.decode("latin-1")
        if self._header_bytes > HEADER_BYTES_MAX:
            self._too_much()

    def on_body(self, data: bytes) -> None:
        """Parser: a piece of the body."""
        self._body_bytes += len(data)
        if self._body_bytes > BODY_BYTES_MAX:
            self._too_much()
        else:
            self._pieces.append(data)

    def _too_much(self) -> None:
        self._pieces = []
        if not self._transport.is_closing():
            self._sink.observed.malformed += 1
            self.drop()

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        if self._transport.is_closing():
            return
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        method, path = self._parser.get_method(), self._url.decode("latin-1")
        if method == b"POST":
            self._deliver(path, body)
        elif method == b"GET" and path == "/report":
            self._answer(200, msgspec.json.encode(self._sink.report()))
        elif method == b"PUT" and path == "/behaviour":
            self._behave(body)
        else:
            self._sink.observed.malformed += 1
            self._answer(405, b'{"error":"POST deliveries, GET /report or PUT /behaviour"}')

    def _behave(self, body: bytes) -> None:
        try:
            self._sink.behaviour = msgspec.json.decode(body, type=SinkBehaviour)
        except msgspec.DecodeError as error:
            self._answer(400, msgspec.json.encode({"error": str(error)}))
        else:
            self._answer(200, msgspec.json.encode(self._sink.behaviour))

    def _deliver(self, path: str, body: bytes) -> None:
        sink = self._sink
        if not sink.is_signed(self._headers, body):
            sink.observed.bad_signatures += 1
            self._answer(401, b'{"error":"the signature is missing, wrong or old"}')
            return
        behaviour = sink.behaviour
        mode = behaviour.mode if sink.misbehaves() else "accept"
        arrival = self._arrival(path, body, _status_of(mode, behaviour))
        if mode in _PART_OF_ANSWER:
            sink.note(arrival)
            self._lie(mode)
        elif mode == "hang":
            self._busy = True
            sink.note(arrival)
        elif mode == "cut":
            sink.note(arrival)
            self.drop()
        elif behaviour.delay_s:
            self._waiting, self._busy = arrival, True
            self._timer = self._loop.call_later(behaviour.delay_s, self._finish, behaviour)
        else:
            self._conclude(arrival, behaviour)

    def _lie(self, mode: Mode) -> None:
        """Begin to say that it was taken, and never end."""
        self._busy = True
        self._transport.write(_PART_OF_ANSWER[mode])
        if mode == "half_head":
            self._transport.close()
        elif mode == "reset":
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.drop()

    def _arrival(self, path: str, body: bytes, status: int) -> Arrival:
        seen = look(body)
        return Arrival(
            path,
            self._headers.get(b"webhook-id", ""),
            self._headers.get(b"comporta-instance", ""),
            seen.event_type,
            seen.account_id,
            seen.subject,
            seen.marker,
            sha256(body).digest(),
            int(time.time() * 1000),
            status,
        )

    def _finish(self, behaviour: SinkBehaviour) -> None:
        arrival, self._waiting, self._busy = self._waiting, None, False
        if arrival:
            self._conclude(arrival, behaviour)

    def _conclude(self, arrival: Arrival, behaviour: SinkBehaviour) -> None:
        self._sink.note(arrival)
        if arrival.status == 200:  # noqa: PLR2004
            self._transport.write(_OK)
        else:
            self._answer(arrival.status, b"", behaviour.retry_after_s)

    def _answer(self, status: int, body: bytes, retry_after_s: int | None = None) -> None:
        retry = f"Retry-After: {retry_after_s}\r\n" if retry_after_s is not None else ""
        head = (
            f"HTTP/1.1 {status} -\r\n{retry}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)


def _status_of(mode: Mode, behaviour: SinkBehaviour) -> int:
    """What the sender is told, if it can hear it; 0: nothing."""
    if mode == "fail":
        return behaviour.status
    return 0 if mode in {"hang", "cut", "half_head"} else 200
