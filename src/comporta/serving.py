"""The HTTP front for webhooks on uvicorn: bounds on how a request arrives, and a short way in.

uvicorn bounds idle connections after a response, but not one that never sends a request, or half of
one, or a head without end. And it makes a task, an event and a dozen objects for each request,
which cost more than making the event durable. This protocol notes since when it waits, a sweep ends
what takes too long; and a plain webhook that is accepted goes from the parser straight to ingest.
Whatever is not plain, or not accepted, goes uvicorn's own way to the ASGI application.

The operators' command line leaves no place for a protocol class, so uvicorn's own makes ours.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from comporta.ingest.accept import RawHeaders
from comporta.listening import let_in

SWEEP_S = 1.0
HEAD_BYTES_MAX = 64 * 1024
"""Counted in whole reads, the first one not: about two reads (512 KiB) more can pass."""
SHORT_BODY_BYTES_MAX = 256 * 1024
"""Larger bodies go the long way, where they reserve their room."""
FIRST_BYTE_S = 1.0
"""For a connection on which nothing has come when the server stops."""
_TOO_SLOW = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"
_NEVER = float("inf")
_PATH = b"/webhook"

Answer = Callable[[bool], None]
"""True: accepted and durable. False: not accepted; ask the ASGI application why."""
Take = Callable[[bytes, RawHeaders, bytes, Answer], bool]
"""Takes a webhook (URL, headers, body) in. False: go the long way; the answer is not called."""


class _Taken:
    """A request on the short way: to uvicorn, a cycle that is not complete yet."""

    __slots__ = (
        "body",
        "disconnected",
        "keep_alive",
        "parts",
        "response_complete",
        "seen",
        "version",
    )

    def __init__(self, version: str, keep_alive: bool) -> None:
        self.parts: list[bytes] = []
        self.body = b""
        self.seen: tuple[bytes, Any, bool] = (b"", None, False)
        self.version, self.keep_alive = version, keep_alive
        self.response_complete = self.disconnected = False

    @property
    def message_event(self) -> "_Taken":
        """Uvicorn wakes a waiting application at the end of a connection; none waits here."""
        return self

    def set(self) -> None:
        """See `message_event`."""


class WebhookProtocol(HttpToolsProtocol):
    """See the module. The class attributes are set by `install`."""

    head_timeout_s = body_timeout_s = 10.0
    leaving = False
    """Each answer ends its connection. Of all connections, or of one that is being shut down."""
    take: Take
    sweeps: dict[int, "_Sweep"]

    _deadline = _NEVER
    _head_bytes = -1
    _length = b""
    _taken: _Taken | None = None
    _ok: tuple[Any, bytes] = (None, b"")

    # Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """What the long way needs besides is made when it is taken: see `_as_usual`."""
        self.connections.add(self)
        self.transport = transport
        if self.leaving:
            let_in(transport.get_extra_info("socket"))
        self._deadline = self.loop.time() + self.head_timeout_s
        if id(self.connections) not in self.sweeps:
            self.sweeps[id(self.connections)] = _Sweep(self.loop, self.connections)

    def data_received(self, data: bytes) -> None:
        """Bound the head, and leave the rest to the parser."""
        waits_for_more = self._head_bytes >= 0
        super().data_received(data)
        if waits_for_more and self._head_bytes >= 0:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.end(_TOO_LARGE)

    def sweep(self, now: float) -> None:
        """End the connection if it has taken too long."""
        if self._deadline < now:
            self.end(_TOO_SLOW)

    def end(self, status: bytes) -> None:
        """Answer with no more than a status, unless an answer is under way; and close."""
        cycle = self.cycle
        answering = getattr(cycle, "response_started", False) and not cycle.response_complete
        if not answering:
            head = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
            self.transport.write(head)
        self.transport.close()

    def shutdown(self) -> None:
        """End it once what has come, or is about to come, is answered.

        Uvicorn itself would not wait for the first byte of a connection, nor for the end of a head.
        """
        self.leaving = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif self._deadline == _NEVER:  # idle since its last answer
            self.transport.close()
        elif self._head_bytes < 0:  # nothing has come yet
            self._deadline = min(self._deadline, self.loop.time() + FIRST_BYTE_S)

    # Parser callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._deadline = self.loop.time() + self.head_timeout_s
        self._head_bytes = 0
        self._length = b""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of it."""
        name = name.lower()
        if name == b"content-length":
            self._length = value
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the way."""
        self._deadline = self.loop.time() + self.body_timeout_s
        self._head_bytes = -1
        if self._is_plain():
            version = self.parser.get_http_version()
            keep_alive = version == "1.1" and not self.leaving and self.parser.should_keep_alive()
            self.cycle = self._taken = _Taken(version, keep_alive)  # type: ignore[assignment]
        else:
            self._taken = None
            self._as_usual(self.url, self.headers, self.expect_100_continue)

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        if self._taken is None:
            super().on_body(body)
        else:
            self._taken.parts.append(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        self._deadline = _NEVER
        taken = self._taken
        if taken is None:
            super().on_message_complete()
            return
        self._taken = None
        taken.body = taken.parts[0] if len(taken.parts) == 1 else b"".join(taken.parts)
        taken.seen = (self.url, self.headers, self.expect_100_continue)

        def answer(accepted: bool) -> None:
            self._answer(taken, accepted)

        if not self.take(self.url, self.headers, taken.body, answer):
            self._answer(taken, accepted=False)

    def _is_plain(self) -> bool:
        length = self._length
        return (
            self.url.startswith(_PATH)
            and (self.cycle is None or self.cycle.response_complete)
            and (self.flow is None or not self.flow.write_paused)  # the long way waits
            and 0 < len(length) < 7  # noqa: PLR2004  (digits)
            and length.isdigit()
            and int(length) <= SHORT_BODY_BYTES_MAX
            and not self.expect_100_continue
            and self.parser.get_method() == b"POST"
            and not self.parser.should_upgrade()
        )

    # Answers

    def _answer(self, taken: _Taken, accepted: bool) -> None:
        if taken.disconnected or self.transport.is_closing():
            return
        if not accepted:
            self._long_way(taken)
            return
        self.transport.write(self._ok_bytes(taken.keep_alive))
        taken.response_complete = True
        if not taken.keep_alive:
            self.transport.close()
        elif self.flow is None:
            self.flow = FlowControl(self.transport)
        self.on_response_complete()

    def _ok_bytes(self, keep_alive: bool) -> bytes:
        defaults = self.server_state.default_headers  # made anew every second, with the date
        made_for, lines = WebhookProtocol._ok
        if made_for is not defaults:
            lines = b"".join(b"%b: %b\r\n" % header for header in defaults)
            WebhookProtocol._ok = (defaults, lines)
        close = b"" if keep_alive else b"connection: close\r\n"
        return b"HTTP/1.1 200 OK\r\n%bcontent-length: 0\r\n%b\r\n" % (lines, close)

    def _long_way(self, taken: _Taken) -> None:
        """Give a request that was not accepted to the ASGI application, as if it had just come."""
        parsing = (self.url, self.headers, self.expect_100_continue)
        latest: Any = self.cycle
        taken.response_complete = True
        self.cycle = None  # type: ignore[assignment]
        self._as_usual(*taken.seen)
        cycle = self.cycle
        # The parser may be at a later request by now, and so may be what it says.
        cycle.scope["method"], cycle.scope["http_version"] = "POST", taken.version
        cycle.keep_alive = taken.keep_alive
        if latest is not taken:
            self.cycle = latest
        cycle.body += taken.body
        cycle.more_body = False
        cycle.message_event.set()
        self.url, self.headers, self.expect_100_continue = parsing

    def _as_usual(self, url: bytes, headers: list[tuple[bytes, bytes]], expects_100: bool) -> None:
        """Uvicorn's own way, from the beginning of the request."""
        if self.flow is None:
            self.flow = FlowControl(self.transport)
        if self.server is None:  # the short way has no need of these
            self.server = get_local_addr(self.transport)
            self.client = get_remote_addr(self.transport)
            self.scheme = "https" if is_ssl(self.transport) else "http"
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects_100
        self.headers.extend(headers)
        super().on_headers_complete()
        if self.leaving:
            cycle: Any = self.cycle  # made just now
            cycle.keep_alive = False


class _Sweep:
    """Looks at all connections of one server about once a second."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self._loop, self._connections = loop, connections
        self._loop.call_later(SWEEP_S, self._run)

    def _run(self) -> None:
        now = self._loop.time()
        for protocol in list(self._connections):
            if isinstance(protocol, WebhookProtocol):
                protocol.sweep(now)
        self._loop.call_later(SWEEP_S, self._run)


def install(take: Take, head_timeout_s: float, body_timeout_s: float) -> None:
    """In this process, let uvicorn serve with `WebhookProtocol`.

    Args:
        take: ingest's short way.
        head_timeout_s: for a request's head to arrive, seconds.
        body_timeout_s: for its body.
    """
    WebhookProtocol.take = staticmethod(take)
    WebhookProtocol.head_timeout_s = head_timeout_s
    WebhookProtocol.body_timeout_s = body_timeout_s
    WebhookProtocol.sweeps = {}
    WebhookProtocol.leaving = False

    def make(cls: type[Any], *_args: object, **_kwargs: object) -> Any:
        return object.__new__(WebhookProtocol if cls is HttpToolsProtocol else cls)

    HttpToolsProtocol.__new__ = make  # type: ignore[method-assign]
