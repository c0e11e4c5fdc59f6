"""The log on RabbitMQ keeps the promises of every log: on a server that dies, and a frozen one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers.rabbitmq import RabbitServer

from comporta.log.port import Log
from comporta.log.rabbitmq import queues
from comporta.log.rabbitmq.log import RabbitLog
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite

BODY_BYTES_MAX = 20 << 20
only_messages_are_counted = pytest.mark.xfail(
    strict=True,
    reason="RabbitMQ tells its clients how many messages wait; one holds what came in together",
)


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
    """The suite, on a server that is killed and started again with its data."""

    maker = f"{__name__}:make"
    server: RabbitServer

    @pytest.fixture(autouse=True)
    def _on(
        self,
        server: RabbitServer,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.server = server
        server.ensure()
        if "away" not in request.node.name:  # only a node that dies forgets its new queues
            monkeypatch.setattr(queues, "SAVED_S", 0)

    def place(self, folder: Path) -> str:
        return f"{self.server.url}?prefix={folder.name[-60:]}"

    def break_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.kill()

    def mend_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.restart()

    @only_messages_are_counted
    def test_lag_is_all_that_is_not_committed_and_settles_to_zero(self, folder: Path) -> None:
        super().test_lag_is_all_that_is_not_committed_and_settles_to_zero(folder)

    @only_messages_are_counted
    def test_a_partition_that_nobody_has_read_yet_counts_as_lag(self, folder: Path) -> None:
        super().test_a_partition_that_nobody_has_read_yet_counts_as_lag(folder)


class TestRabbitLogOnAFrozenServer(TestRabbitLog):
    """The suite, where to be away means to hold the connections and say nothing."""

    def break_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.freeze()

    def mend_it(self, folder: Path) -> None:  # noqa: ARG002  (all share one server)
        self.server.thaw()
