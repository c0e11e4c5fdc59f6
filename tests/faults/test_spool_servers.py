"""The spool before real servers that are killed and frozen under load."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol, Self

import pytest
from tests.faults.spooling import Appenders, assert_in_order
from tests.support.servers.kafka import Kafka
from tests.support.servers.rabbitmq import RabbitServer
from tests.support.servers.redis import RedisProcess

from comporta.log.port import Log
from comporta.log.spool.file import SpoolFile
from comporta.log.spool.log import SpooledLog
from comporta.testing.conformance.appender import PARTITIONS

AFTER_S = 0.5
BODY_BYTES_MAX = 1 << 20


class Server(Protocol):
    """What can be done to one. Its data outlive it."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...
    @property
    def url(self) -> str: ...


SERVERS: dict[str, tuple[Callable[[Path], Server], str, str]] = {
    "redis": (RedisProcess, "comporta.log.redis.log:RedisLog", ""),
    "rabbitmq": (RabbitServer, "comporta.log.rabbitmq.log:RabbitLog", ""),
    "kafka": (Kafka, "comporta.log.kafka.log:KafkaLog", "/events"),
}


def make(place: str) -> Log:
    folder, name, url = place.split("|")
    file = SpoolFile(Path(folder), PARTITIONS, bytes_max=1 << 30)
    broker = resolve_name(SERVERS[name][1])(url, PARTITIONS, body_bytes_max=BODY_BYTES_MAX)
    return SpooledLog(broker, file, after_s=AFTER_S, drains=True)


@contextmanager
def killed(server: Server) -> Iterator[None]:
    server.kill()
    yield
    server.restart()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    server.freeze()
    yield
    server.thaw()


@pytest.mark.parametrize("outage", [killed, frozen])
@pytest.mark.parametrize("name", SERVERS)
def test_acknowledgements_go_on_and_nothing_is_lost_or_out_of_order(
    tmp_path: Path, name: str, outage: Callable[[Server], AbstractContextManager[None]]
) -> None:
    made, _log, path = SERVERS[name]
    data = tmp_path / "data"
    data.mkdir()
    with made(tmp_path / name) as server:
        appenders = Appenders(f"{__name__}:make", f"{data}|{name}|{server.url}{path}")
        with appenders.one(), appenders.one() as victim:
            appenders.go_on(500)
            for _again in range(2):
                with outage(server):
                    appenders.go_on(1_000)
                appenders.go_on(500)
            victim.kill()
            appenders.go_on(500)
        bodies = asyncio.run(appenders.at_the_broker())
    assert not set(appenders.acknowledged) - set(bodies)
    assert_in_order(bodies)
