"""The log in Redis keeps the promises of every log, and some of its own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers.redis import RedisProcess

from comporta.log.port import Log
from comporta.log.redis import RedisLog
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite

BODY_BYTES_MAX = 20 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def make(place: str) -> Log:
    return RedisLog(place, PARTITIONS, body_bytes_max=BODY_BYTES_MAX)


class TestRedisLog(LogSuite):
    """The suite, on a server that is killed and started again."""

    maker = f"{__name__}:make"

    @pytest.fixture(autouse=True)
    def _use(self, server: RedisProcess) -> None:
        self.server = server

    def place(self, folder: Path) -> str:
        return f"{self.server.url}?prefix={folder.name[-40:]}"

    def break_it(self, folder: Path) -> None:
        self.server.kill()

    def mend_it(self, folder: Path) -> None:
        self.server.restart()
