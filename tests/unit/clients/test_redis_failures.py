"""What a Redis client runs into is an outage in words, whatever the event loop calls it."""

import asyncio

import pytest

from comporta.clients.redis import RedisServer
from comporta.errors import StoreUnavailableError


def test_a_connection_that_uvloop_finds_closed_amid_a_write_is_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def write(*_calls: object) -> list[object]:
        raise RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")

    async def run() -> None:
        server = RedisServer("redis://127.0.0.1:1")
        monkeypatch.setattr(server, "_send", write)
        monkeypatch.setattr(server, "_everywhere", write)
        with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1"):
            await server.many([("PING",)])
        with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1"):
            await server.everywhere("INFO")
        await server.aclose()

    asyncio.run(run())
