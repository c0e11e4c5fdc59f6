"""The HTTP client alone, in a process of its own: what delivering can come near to, and no more.

aiohttp with the connector, session, timeouts and headers of `destinations/http.py`, on the same
event loop and with the same niceness as dispatch; the requests are made beforehand. It looks at
nothing, stores nothing and signs nothing. Arguments: port, calls, at a time. Prints `Answer`.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator

import aiohttp
import msgspec
from tests.bench import stock

from comporta.destinations.guard import GuardedResolver
from comporta.destinations.http import KEEP_ALIVE_S, Endpoint, Request, request_of
from comporta.dispatching import NICENESS
from comporta.domain.delivery import Delivery
from comporta.testing.loop import run

TIMEOUT_S = 10.0


class Answer(msgspec.Struct, frozen=True):
    """What it took: wall and CPU seconds for all calls."""

    calls: int
    failed: int
    lasted_s: float
    cpu_s: float


def main() -> None:
    """Make the calls, tell what they took."""
    port, calls, at_a_time = map(int, sys.argv[1:])
    os.nice(NICENESS)
    answer = run(_measure(f"http://127.0.0.1:{port}/", calls, at_a_time))
    sys.stdout.write(msgspec.json.encode(answer).decode())


async def _measure(url: str, calls: int, at_a_time: int) -> Answer:
    endpoint = Endpoint(url, TIMEOUT_S)
    waiting = iter(_requests(endpoint, calls))
    connector = aiohttp.TCPConnector(
        limit=0, resolver=GuardedResolver(), ttl_dns_cache=30, keepalive_timeout=KEEP_ALIVE_S
    )
    async with aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding"),
    ) as session:
        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_call(session, endpoint, waiting)) for _ in range(at_a_time)]
        lasted_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return Answer(calls, sum(task.result() for task in tasks), lasted_s, cpu_s)


def _requests(endpoint: Endpoint, calls: int) -> list[Request]:
    now_ms = time.time_ns() // 1_000_000
    made = []
    for number, (_instance, body) in enumerate(stock.bodies(stock.Stock(calls, 1, 64, ""))):
        # Ids of as many characters as real ones have.
        id_ = (now_ms << 22) + number
        delivery = Delivery(
            *(id_, id_, "", 0, 0, 0, 0, "", "message_created", now_ms, stock.headers(), body)
        )
        request = request_of(endpoint, delivery, "bench-0", now_ms)
        if isinstance(request, Request):  # always: nothing is shaped here
            made.append(request)
    return made


async def _call(
    session: aiohttp.ClientSession, endpoint: Endpoint, waiting: Iterator[Request]
) -> int:
    """One call after another until none is left; how many failed."""
    failed = 0
    for request in waiting:
        async with session.post(
            endpoint.url,
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
            timeout=endpoint.timeout,
        ) as answer:
            await answer.read()
            failed += answer.status != 200
    return failed


if __name__ == "__main__":
    main()
