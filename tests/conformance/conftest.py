"""Servers that several modules of this folder need."""

from collections.abc import Iterator

import pytest

from tests.support.servers.kafka import Kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker of a module's own, so that what is done to it is over with the module."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server
