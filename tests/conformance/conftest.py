"""Servers that several suites share."""

from collections.abc import Callable, Iterator

import pytest
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
