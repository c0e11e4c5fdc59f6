"""What we ask of uvicorn beyond its options: a deadline for a request's head.

uvicorn bounds idle connections after a response, but not one that never sends a request, or half of
its head. The operators' command line leaves no place for a protocol class of our own, so its class
learns to note since when it waits for a head, and a sweep closes those that wait too long. Bodies
have their deadline in ingest.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SWEEP_S = 1.0
_waiting = "comporta_waits_since"
_sweeping: set[int] = set()


def bound_heads(timeout_s: float) -> None:
    """Close connections of this process that take longer than `timeout_s` to send a head."""
    connection_made = HttpToolsProtocol.connection_made
    on_message_begin = HttpToolsProtocol.on_message_begin
    on_headers_complete = HttpToolsProtocol.on_headers_complete

    def made(self: Any, transport: asyncio.Transport) -> None:
        connection_made(self, transport)
        self.comporta_waits_since = self.loop.time()
        if id(self.connections) not in _sweeping:
            _sweeping.add(id(self.connections))
            _sweep(self.loop, self.connections, timeout_s)

    def began(self: Any) -> None:
        self.comporta_waits_since = self.loop.time()
        on_message_begin(self)

    def completed(self: Any) -> None:
        self.comporta_waits_since = None
        on_headers_complete(self)

    HttpToolsProtocol.connection_made = made  # type: ignore[method-assign]
    HttpToolsProtocol.on_message_begin = began  # type: ignore[method-assign]
    HttpToolsProtocol.on_headers_complete = completed  # type: ignore[method-assign]


def _sweep(loop: asyncio.AbstractEventLoop, connections: set[Any], timeout_s: float) -> None:
    now = loop.time()
    for protocol in list(connections):
        since = getattr(protocol, _waiting, None)
        if since is not None and now - since > timeout_s:
            protocol.transport.abort()
    loop.call_later(SWEEP_S, _sweep, loop, connections, timeout_s)
