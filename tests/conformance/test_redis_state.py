"""The state in Redis keeps the promises of every state, on one server and in a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers.redis import RedisCluster, RedisProcess

from comporta.state.port import State
from comporta.state.redis import RedisState
from comporta.testing.conformance.state import StateSuite


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
