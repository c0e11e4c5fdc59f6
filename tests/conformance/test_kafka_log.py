"""The Kafka log keeps the promises of every log, on a real broker."""

import hashlib
from pathlib import Path
from typing import ClassVar

import pytest
from tests.support.servers.kafka import Kafka

from comporta.log.kafka import KafkaLog
from comporta.log.port import Log
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite


def make(place: str) -> Log:
    return KafkaLog(place, PARTITIONS, body_bytes_max=20 << 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestKafkaLog(LogSuite):
    """The suite, on a topic a test. Broken is: the broker is killed, and its data stay."""

    maker = f"{__name__}:make"
    server: ClassVar[Kafka]

    @pytest.fixture(autouse=True)
    def _on_a_broker(self, kafka: Kafka) -> None:
        type(self).server = kafka

    def place(self, folder: Path) -> str:
        topic = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        return f"{self.server.url}/{topic}"

    def break_it(self, folder: Path) -> None:  # noqa: ARG002
        self.server.kill()

    def mend_it(self, folder: Path) -> None:  # noqa: ARG002
        self.server.start()
