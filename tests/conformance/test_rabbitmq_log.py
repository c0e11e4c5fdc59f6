"""The log on RabbitMQ keeps the promises of every log, and some of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from comporta.log.port import Log
from comporta.log.rabbitmq import RabbitLog
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite
from tests.support.servers.rabbitmq import RabbitServer

BODY_BYTES_MAX = 11 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    with RabbitServer(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def make(place: str) -> Log:
    return RabbitLog(place, PARTITIONS, body_bytes_max=BODY_BYTES_MAX)


class TestRabbitLog(LogSuite):
    """The suite, on a server that is killed and started again."""

    maker = f"{__name__}:make"

    @pytest.fixture(autouse=True)
    def _server(self, server: RabbitServer) -> None:
        self.server = server
        server.ensure()

    def place(self, folder: Path) -> str:
        return f"{self.server.url}?prefix={folder.name}"

    def break_it(self, folder: Path) -> None:
        self.server.kill()

    def mend_it(self, folder: Path) -> None:
        self.server.restart()
