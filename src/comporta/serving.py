"""What we ask of uvicorn beyond its options: bounds on how, and how long, a request arrives.

uvicorn bounds idle connections after a response, but not one that never sends a request, or half of
one, or a head without end. The operators' command line leaves no place for a protocol class of our
own, so its class learns to note since when it waits for a head or a body, and a sweep ends those
that wait too long with a 408; what grows too large before its head is whole is ended with a 431.
Noting costs a fraction of a microsecond; a timer for each request would cost several.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SWEEP_S = 1.0
HEAD_BYTES_MAX = 64 * 1024
"""Counted in whole reads, the first one not: about two reads (512 KiB) more can pass."""
_TOO_SLOW = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"
_NEVER = float("inf")


class _Sweep:
    """Looks at all connections of one server about once a second."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self._loop, self._connections = loop, connections
        self._loop.call_later(SWEEP_S, self._run)

    def _run(self) -> None:
        now = self._loop.time()
        for protocol in list(self._connections):
            if getattr(protocol, "comporta_deadline", _NEVER) < now:
                _end(protocol, _TOO_SLOW)
        self._loop.call_later(SWEEP_S, self._run)


def _end(protocol: Any, status: bytes) -> None:
    head = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
    protocol.transport.write(head)
    protocol.transport.close()


def bound_requests(head_timeout_s: float, body_timeout_s: float) -> None:
    """In this process, end connections that take longer to send a head or a body, in seconds."""
    _bound_heads()
    connection_made = HttpToolsProtocol.connection_made
    on_message_begin = HttpToolsProtocol.on_message_begin
    on_headers_complete = HttpToolsProtocol.on_headers_complete
    on_message_complete = HttpToolsProtocol.on_message_complete
    sweeps: dict[int, _Sweep] = {}

    def made(self: Any, transport: asyncio.Transport) -> None:
        connection_made(self, transport)
        self.comporta_deadline = self.loop.time() + head_timeout_s
        if id(self.connections) not in sweeps:
            sweeps[id(self.connections)] = _Sweep(self.loop, self.connections)

    def began(self: Any) -> None:
        self.comporta_deadline = self.loop.time() + head_timeout_s
        on_message_begin(self)

    def headers_complete(self: Any) -> None:
        self.comporta_deadline = self.loop.time() + body_timeout_s
        on_headers_complete(self)

    def complete(self: Any) -> None:
        self.comporta_deadline = _NEVER
        on_message_complete(self)

    HttpToolsProtocol.connection_made = made  # type: ignore[method-assign]
    HttpToolsProtocol.on_message_begin = began  # type: ignore[method-assign]
    HttpToolsProtocol.on_headers_complete = headers_complete  # type: ignore[method-assign]
    HttpToolsProtocol.on_message_complete = complete  # type: ignore[method-assign]


def _bound_heads() -> None:
    """In this process, end connections whose head has no end."""
    connection_made = HttpToolsProtocol.connection_made
    data_received = HttpToolsProtocol.data_received
    on_message_begin = HttpToolsProtocol.on_message_begin
    on_headers_complete = HttpToolsProtocol.on_headers_complete

    def made(self: Any, transport: asyncio.Transport) -> None:
        self.comporta_head_bytes = -1
        connection_made(self, transport)

    def received(self: Any, data: bytes) -> None:
        waits_for_more = self.comporta_head_bytes >= 0
        data_received(self, data)
        if waits_for_more and self.comporta_head_bytes >= 0:
            self.comporta_head_bytes += len(data)
            if self.comporta_head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                _end(self, _TOO_LARGE)

    def began(self: Any) -> None:
        self.comporta_head_bytes = 0
        on_message_begin(self)

    def headers_complete(self: Any) -> None:
        self.comporta_head_bytes = -1
        on_headers_complete(self)

    HttpToolsProtocol.connection_made = made  # type: ignore[method-assign]
    HttpToolsProtocol.data_received = received  # type: ignore[method-assign]
    HttpToolsProtocol.on_message_begin = began  # type: ignore[method-assign]
    HttpToolsProtocol.on_headers_complete = headers_complete  # type: ignore[method-assign]
