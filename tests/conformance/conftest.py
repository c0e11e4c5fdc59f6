"""Servers that several suites share."""

from collections.abc import Callable, Iterator

import pytest
from tests.support.servers.kafka import Kafka
from tests.support.servers.postgresql import Postgresql, pgbouncer


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A server that nobody kills."""
    with Postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def bouncer(postgresql: Postgresql) -> Iterator[Callable[[str], str]]:
    """A PgBouncer in transaction mode before it."""
    with pgbouncer(postgresql) as url:
        yield url


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker of a module's own, so that what is done to it is over with the module."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server
