"""A load generator: how many requests a server takes, and how long it makes each of them wait.

With a rate it is open-loop: the waiting counts from when a request was due, so that a server that
stalls cannot hide it by stalling its clients as well.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from comporta.testing.histogram import Histogram
from comporta.testing.http_client import Address, Connection, connect, resolve
from comporta.testing.pacing import Pacer
from comporta.testing.simulation import NOT_CONNECTED, TIMED_OUT, accepted

TIMEOUT_S = 30.0


class LoadResult(msgspec.Struct, frozen=True):
    """What came of a load. `requests` are those answered with 2xx; latencies are theirs."""

    requests: int
    errors: int
    statuses: dict[int, int]
    """Of the errors: status → how many; -1 timed out, -2 not connected or cut."""
    duration_s: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float


async def hammer(  # noqa: PLR0913  (what a load is made of)
    url: str,
    bodies: Iterable[bytes],
    connections: int,
    duration_s: float,
    *,
    keep_alive: bool = True,
    rate: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> LoadResult:
    """POST bodies to a URL from many connections at once.

    Args:
        url: http or https; `user:pass@` becomes Basic authentication.
        bodies: a sequence is sent round and round; an iterator once, and its end is the end.
        connections: how many requests are under way at the same time.
        duration_s: no request starts later than this.
        keep_alive: False: a new connection for each request, as Chatwoot does.
        rate: requests a second over all connections; None: as fast as the answers allow.
        headers: besides `Host` and `Content-Length`; `Content-Type: application/json` if None.

    Raises:
        ValueError: not an http(s) URL.
        OSError: the host name does not resolve.
    """
    address = await resolve(url)
    lines = {"Content-Type": "application/json"} if headers is None else headers
    head = address.head("".join(f"{name}: {value}\r\n" for name, value in lines.items()))
    source = itertools.cycle(bodies) if isinstance(bodies, Sequence) else iter(bodies)
    load = _Load(address, head, source, Pacer(rate or 0.0, duration_s=duration_s))
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(load.send(keep_alive=keep_alive))
    return load.result()


class _Load:
    """What the senders of one load share."""

    def __init__(
        self, address: Address, head: bytes, bodies: Iterator[bytes], pacer: Pacer
    ) -> None:
        self._address = address
        self._head = head
        self._bodies = bodies
        self._pacer = pacer
        self._began_at = time.perf_counter()
        self._latency = Histogram()
        self._errors: Counter[int] = Counter()

    async def send(self, *, keep_alive: bool) -> None:
        """One sender: request after request, over one connection or a new one for each."""
        connection: Connection | None = None
        while (due_at := await self._pacer.next()) is not None:
            body = next(self._bodies, None)
            if body is None:
                break
            request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
            try:
                if connection is None or not connection.open:
                    connection = await connect(self._address, TIMEOUT_S)
                status = await connection.post(request, TIMEOUT_S)
            except TimeoutError:
                status = TIMED_OUT
            except OSError:
                status = NOT_CONNECTED
            self._count(status, due_at)
            if connection and not keep_alive:
                connection.close()
        if connection:
            connection.close()

    def _count(self, status: int, due_at: float) -> None:
        if accepted(status):
            self._latency.add(time.perf_counter() - due_at)
        else:
            self._errors[status] += 1

    def result(self) -> LoadResult:
        duration_s = time.perf_counter() - self._began_at
        return LoadResult(
            requests=self._latency.count,
            errors=self._errors.total(),
            statuses=dict(self._errors),
            duration_s=duration_s,
            requests_per_s=self._latency.count / duration_s,
            p50_ms=self._latency.percentile_ms(0.5),
            p99_ms=self._latency.percentile_ms(0.99),
            max_ms=self._latency.max_ms,
        )
