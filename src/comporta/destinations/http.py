"""Bringing a delivery to an HTTP endpoint: one attempt, always with an answer, never an exception.

The body goes out untouched, unless the destination asks for a shape. Redirects are not followed;
the answer is read up to 20 kB; every phase has a deadline.
"""

import io
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType

import aiohttp
import msgspec
from yarl import URL

from comporta import __version__
from comporta.clock import now_ms
from comporta.destinations.guard import ForbiddenAddressError, GuardedResolver, forbidden
from comporta.destinations.shape import Shape, Unshapable, shape_of
from comporta.destinations.signing import key_of, signature
from comporta.domain.delivery import AttemptResult, Delivery
from comporta.domain.fleet import Destination, Secret
from comporta.domain.ids import show

RESPONSE_BYTES_MAX = 20_000
CONNECT_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 30.0
KEEP_ALIVE_S = 4.0
"""Less than the 5 s of common servers, so that they rarely close a connection as we use it."""
USER_AGENT = f"comporta/{__version__}"
_RETRY_AFTER_CHARS = 64
_PIECES_FROM_BYTES = 256 * 1024


class Endpoint:
    """An HTTP destination, opened for use: what sending needs to know of it, settled once.

    Args:
        url: where to.
        timeout_s: for a whole attempt, seconds.
        key: for Standard Webhooks signing; None: not signed.
        shape: makes what is sent; None: events go out as they came.
        headers: of every request, lower-case name → value.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        key: bytes | None = None,
        *,
        shape: Shape | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.url, self.timeout_s, self.key = URL(url), timeout_s, key
        self.shape, self.headers = shape, headers
        self.forbidden = forbidden(self.url.host or "")
        self.timeout = aiohttp.ClientTimeout(
            total=timeout_s,
            connect=min(timeout_s, POOL_TIMEOUT_S),
            sock_connect=min(timeout_s, CONNECT_TIMEOUT_S),
            sock_read=timeout_s,
        )


def open_endpoint(destination: Destination, open_secret: Callable[[Secret], str]) -> Endpoint:
    """Get a destination of the fleet ready for use. `open_secret` unseals."""
    return Endpoint(
        destination.url,
        destination.timeout_s,
        key_of(open_secret(destination.secret)) if destination.secret else None,
        shape=shape_of(destination.format, destination.transform),
        headers={name: open_secret(value) for name, value in destination.headers.items()},
    )


class Request(msgspec.Struct, frozen=True, gc=False):
    """What goes out."""

    headers: dict[str, str]
    body: bytes


class HttpSender:
    """The client that all attempts of a worker share; open it inside a running event loop.

    How many connections there are is not its business: whoever sends limits what is under way.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession

    async def open(self) -> None:
        """Get ready to send."""
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=GuardedResolver(),
            ttl_dns_cache=30,
            keepalive_timeout=KEEP_ALIVE_S,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(self, endpoint: Endpoint, delivery: Delivery, instance: str) -> AttemptResult:
        """One attempt.

        Args:
            endpoint: where to.
            delivery: what.
            instance: the name of the instance that the event came from.
        """
        started = time.perf_counter()
        started_at_ms = now_ms()
        request = request_of(endpoint, delivery, instance, started_at_ms)
        if isinstance(request, Unshapable):
            duration_ms = (time.perf_counter() - started) * 1000
            return _unsent(request, started_at_ms, duration_ms)
        status: int | None = None
        error, retry_after_s, response = "", None, b""
        try:
            if endpoint.forbidden:
                raise ForbiddenAddressError(f"{endpoint.url.host} is a forbidden address")
            async with self._session.post(
                endpoint.url,
                data=_payload(request.body),
                headers=request.headers,
                allow_redirects=False,
                timeout=endpoint.timeout,
            ) as answer:
                status = answer.status
                retry_after_s = _retry_after_s(answer.headers, time.time())
                response = await _first_bytes(answer)
        except TimeoutError:
            error = f"no answer within {endpoint.timeout_s:g} s" if status is None else ""
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            error = _words(problem) if status is None else ""
        duration_ms = (time.perf_counter() - started) * 1000
        return AttemptResult(started_at_ms, duration_ms, status, error, retry_after_s, response)


def _payload(body: bytes) -> bytes | io.BytesIO:
    # A large one goes out in pieces, so that others get their turn in between.
    return body if len(body) < _PIECES_FROM_BYTES else io.BytesIO(body)


def _unsent(why: Unshapable, started_at_ms: int, duration_ms: float) -> AttemptResult:
    return AttemptResult(
        started_at_ms,
        duration_ms,
        error=why.reason,
        response=why.trace,
        ending=why.ending,
        sent=False,
    )


def request_of(
    endpoint: Endpoint, delivery: Delivery, instance: str, now_ms: int
) -> Request | Unshapable:
    """What is sent for a delivery, or why nothing is.

    Args:
        endpoint: where to.
        delivery: what.
        instance: the name of the instance that the event came from.
        now_ms: for the signature, Unix milliseconds.
    """
    webhook_id, body = show("dlv", delivery.id), delivery.body
    headers = {"content-type": "application/json"}
    headers.update(delivery.headers)
    if endpoint.shape is not None:
        shaped = endpoint.shape(delivery, instance)
        if isinstance(shaped, Unshapable):
            return shaped
        body = shaped.body
        headers.update(shaped.headers)
        for name in shaped.without:
            headers.pop(name, None)
    if endpoint.headers:
        headers.update(endpoint.headers)
    headers["user-agent"] = USER_AGENT
    headers["webhook-id"] = webhook_id
    headers["webhook-timestamp"] = str(now_ms // 1000)
    if endpoint.key is not None:
        headers["webhook-signature"] = signature(endpoint.key, webhook_id, now_ms // 1000, body)
    headers["comporta-instance"] = instance
    headers["comporta-event-id"] = show("evt", delivery.event_id)
    return Request(headers, body)


async def _first_bytes(answer: aiohttp.ClientResponse) -> bytes:
    """The answer's first bytes. A longer answer costs its connection, and nothing else."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > RESPONSE_BYTES_MAX:
            answer.close()
            break
    return b"".join(parts)[:RESPONSE_BYTES_MAX]


def _retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds that `Retry-After` asks for: a number, or a date (RFC 9110, section 10.2.3)."""
    value = headers.get("Retry-After", "")[:_RETRY_AFTER_CHARS].strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None


def _words(problem: BaseException) -> str:  # noqa: PLR0911  (one for each kind)
    """What went wrong, for a person: short, and without addresses that are secret."""
    match problem:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "TLS failed: the certificate is not valid for this address"
        case aiohttp.ClientConnectorDNSError():
            return "the name cannot be resolved"
        case aiohttp.ClientConnectorError():
            reason = problem.os_error.strerror or str(problem.os_error)
            return f"cannot connect: {reason}"[:200]
        case aiohttp.ServerDisconnectedError():
            return "the connection was cut before an answer came"
        case aiohttp.ClientResponseError():  # its own words name the whole address, and bytes
            return "what came was not an answer in HTTP"
        case ForbiddenAddressError():
            return str(problem)[:200]
        case _:
            return f"{type(problem).__name__}: {problem}"[:200]
