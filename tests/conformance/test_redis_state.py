"""The state in Redis keeps the promises of every state, on one server and in a cluster."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers.redis import RedisCluster, RedisProcess

from comporta.clients.redis import RedisServer
from comporta.domain.rate import Rate
from comporta.errors import StoreUnavailableError
from comporta.state.port import State, WorkerRow
from comporta.state.redis.documents import CHANGE, change
from comporta.state.redis.state import RedisState
from comporta.testing.conformance.state import (
    LEASE_S,
    NOW_MS,
    PARTITIONS,
    StateSuite,
    refusal,
)


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def make(place: str) -> State:
    return RedisState(place)


class RedisStateSuite(StateSuite):
    """The suite, with a prefix a test."""

    maker = f"{__name__}:make"
    url: str

    def place(self, folder: Path) -> str:
        return f"{self.url}?prefix={folder.name[-60:]}"


class TestRedisState(RedisStateSuite):
    @pytest.fixture(autouse=True)
    def _on(self, one_server: RedisProcess) -> None:
        self.url = one_server.url


class TestRedisStateInACluster(RedisStateSuite):
    """Where keys of different slots in one call would be refused."""

    @pytest.fixture(autouse=True)
    def _on(self, cluster: RedisCluster) -> None:
        self.url = cluster.url


def test_tokens_rise_though_the_data_was_lost(one_server: RedisProcess) -> None:
    async def token(now_ms: int) -> int:
        state = RedisState(one_server.url)
        await state.open()
        (lease, *_rest) = await state.acquire("a", range(PARTITIONS), 1, LEASE_S, now_ms)
        await state.close()
        return lease.token

    before = asyncio.run(token(NOW_MS))
    one_server.cli("FLUSHALL")
    assert asyncio.run(token(NOW_MS + 1)) > before


def test_whatever_is_kept_goes_by_itself_if_nobody_writes_it_again(
    one_server: RedisProcess,
) -> None:
    async def write_everything() -> None:
        state = RedisState(one_server.url)
        await state.open()
        await state.beat(WorkerRow("a", 1, NOW_MS, NOW_MS, 0), LEASE_S)
        await state.acquire("a", range(PARTITIONS), 3, LEASE_S, NOW_MS)
        await state.trip("dst", NOW_MS, "HTTP 503")
        await state.take("dst", Rate(1.0, 1), 1, NOW_MS)
        await state.reject([refusal(1)], 10)
        await state.close()

    one_server.cli("FLUSHALL")
    asyncio.run(write_everything())
    keys = one_server.cli("KEYS", "*").split()
    assert len(keys) == 5
    assert all(int(one_server.cli("TTL", key)) > 86_400 for key in keys)


def test_who_comes_too_late_again_and_again_is_told_so(
    one_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comporta.state.redis.documents.TRIES_MAX", 2)
    tries = 0

    async def run() -> None:
        server = RedisServer(one_server.url, [CHANGE])

        def late(document: bytes) -> tuple[bytes, None]:
            nonlocal tries
            tries += 1
            one_server.cli("HSET", "somewhere", "field", str(tries))
            return document + b"!", None

        with pytest.raises(StoreUnavailableError, match="somewhere"):
            await change(server, "somewhere", "field", late)
        await server.aclose()

    asyncio.run(run())
    assert tries == 2
