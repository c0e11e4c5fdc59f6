"""The log in Redis keeps the promises of every log: on one server, a frozen one, in a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers.redis import RedisCluster, RedisProcess

from comporta.log.port import Log
from comporta.log.redis.log import RedisLog
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite

BODY_BYTES_MAX = 20 << 20


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


def make(place: str) -> Log:
    return RedisLog(place, PARTITIONS, body_bytes_max=BODY_BYTES_MAX)


class RedisLogSuite(LogSuite):
    """The suite, on a server that is killed and started again with its data."""

    maker = f"{__name__}:make"
    server: RedisProcess | RedisCluster

    def place(self, folder: Path) -> str:
        return f"{self.server.url}?prefix={folder.name[-60:]}"

    def break_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.kill()

    def mend_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.restart()


class TestRedisLog(RedisLogSuite):
    @pytest.fixture(autouse=True)
    def _on(self, one_server: RedisProcess) -> None:
        self.server = one_server
        one_server.ensure()


class TestRedisLogInACluster(RedisLogSuite):
    """Where keys of different slots in one call would be refused."""

    @pytest.fixture(autouse=True)
    def _on(self, cluster: RedisCluster) -> None:
        self.server = cluster
        cluster.ensure()


class TestRedisLogOnAFrozenServer(TestRedisLog):
    """The suite, where to be away means to hold the connections and say nothing."""

    def break_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.freeze()

    def mend_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.thaw()
