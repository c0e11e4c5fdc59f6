"""A small HTTP/1.1 client for load: one POST at a time over one connection, with deadlines.

It is cheap because it does little: no redirects, no cookies, no pool, the answer's body is read and
dropped. It is for the emulator and the load generator, not for destinations.
"""

import asyncio
import base64
import ssl
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

import httptools
import msgspec


class Address(msgspec.Struct, frozen=True):
    """Where a URL's requests go. `__repr__` is left short, for the path may hold a token."""

    ip: str
    port: int
    hostname: str
    tls: ssl.SSLContext | None
    path: str
    """With the query, as it stands in the request line."""
    headers: str
    """`Host`, and `Authorization` if the URL has `user:pass@`: ready lines, each with its end."""

    def __repr__(self) -> str:
        return f"Address({self.hostname}:{self.port})"

    def head(self, headers: str) -> bytes:
        """The request up to and including `Content-Length: `, to be followed by `ending`."""
        return f"POST {self.path} HTTP/1.1\r\n{self.headers}{headers}Content-Length: ".encode()


async def resolve(url: str, timeout_s: float = 5.0) -> Address:
    """Look the host up, once; IPv4 is preferred, as most local servers listen there.

    Raises:
        ValueError: not an http(s) URL.
        OSError: the name does not resolve, or not in time.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        # The URL itself is not shown: it may carry a token.
        raise ValueError("a webhook URL has to begin with http:// or https:// and name a host")
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    async with asyncio.timeout(timeout_s):
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port)
    ip = min(found, key=lambda entry: entry[0].value)[4][0]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(str(ip), port, parts.hostname, tls, path, _own_headers(parts))


def _own_headers(parts: SplitResult) -> str:
    lines = f"Host: {parts.netloc.rpartition('@')[2]}\r\n"
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines += f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    return lines


class Connection(asyncio.Protocol):
    """One connection; ask it for one answer at a time."""

    __slots__ = (
        "_answer",
        "_framed",
        "_headed",
        "_loop",
        "_parser",
        "_timer",
        "_transport",
        "open",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._headed = self._framed = False
        self.open = False
        """Whether another request may be sent over it."""

    def post(self, request: bytes, timeout_s: float) -> asyncio.Future[int]:
        """Send a whole request; the future brings the answer's status, once it is complete.

        Its exceptions: `TimeoutError`; `ConnectionError` if it was cut or is not HTTP.
        """
        self._answer = self._loop.create_future()
        if self.open:
            self._headed = self._framed = False
            self._timer = self._loop.call_later(timeout_s, self._fail, TimeoutError("no answer"))
            self._transport.write(request)
        else:
            self._answer.set_exception(ConnectionResetError("the connection is closed"))
        return self._answer

    def close(self) -> None:
        """Close, politely."""
        self.open = False
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: the connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # not a subclass on uvloop
        self.open = True

    def data_received(self, data: bytes) -> None:
        """Asyncio: part of an answer is here."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"not an HTTP answer: {error}"))

    def on_header(self, name: bytes, _value: bytes) -> None:
        """Parser: one header of the answer."""
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._framed = True

    def on_headers_complete(self) -> None:
        """Parser: the answer's head is whole."""
        self._headed = True

    def on_message_complete(self) -> None:
        """Parser: the answer is whole."""
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004  (100 Continue and its like are not the answer)
            self._headed = self._framed = False
            return
        if not self._parser.should_keep_alive():
            self.open = False
        self._settle(status)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: the connection is gone."""
        self.open = False
        if self._headed and not self._framed:
            self._settle(self._parser.get_status_code())  # its end is the connection's end
        else:
            self._fail(exc or ConnectionResetError("closed before the answer was complete"))

    def _settle(self, status: int) -> None:
        if self._timer:
            self._timer.cancel()
        if self._answer and not self._answer.done():
            self._answer.set_result(status)

    def _fail(self, error: Exception) -> None:
        if self._timer:
            self._timer.cancel()
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)
        if self.open:
            self.open = False
            self._transport.abort()


async def connect(address: Address, timeout_s: float) -> Connection:
    """A new connection.

    Raises:
        TimeoutError: not open in time.
        OSError: refused, unreachable, or TLS failed.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        _transport, connection = await loop.create_connection(
            lambda: Connection(loop),
            address.ip,
            address.port,
            ssl=address.tls,
            server_hostname=address.hostname if address.tls else None,
        )
    return connection


async def post_once(address: Address, request: bytes, open_s: float, read_s: float) -> int:
    """Connect, send, take the answer's status, close.

    Raises:
        TimeoutError: not connected in `open_s` or not answered in `read_s`.
        OSError: refused, reset, not HTTP.
    """
    connection = await connect(address, open_s)
    try:
        return await connection.post(request, read_s)
    finally:
        connection.close()
