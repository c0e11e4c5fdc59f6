"""Redis URLs, taken apart without a server."""

import pytest
from redis.asyncio import Redis

from comporta.clients.redis import RedisServer
from comporta.clients.redis_url import parse_address
from comporta.errors import ConfigError


def test_a_plain_url_has_a_host_a_login_and_a_database() -> None:
    found = parse_address("redis://me:p%40ss@example.org:6380/2?socket_timeout=1.5")
    assert (found.kind, found.hosts, found.tls) == ("plain", (("example.org", 6380),), False)
    assert found.options == {
        "username": "me",
        "password": "p@ss",
        "db": 2,
        "socket_timeout": 1.5,
    }
    assert found.prefix == "comporta"


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "tls"),
    [
        ("rediss://a", "plain", (("a", 6379),), True),
        ("redis://[::1]:7000", "plain", (("::1", 7000),), False),
        ("redis+cluster://a:1,b", "cluster", (("a", 1), ("b", 6379)), False),
        ("rediss+cluster://me:x@a,b:2", "cluster", (("a", 6379), ("b", 2)), True),
        ("redis+sentinel://a,b:2/main/3", "sentinel", (("a", 26379), ("b", 2)), False),
        ("rediss+sentinel://a/main", "sentinel", (("a", 26379),), True),
    ],
)
def test_every_kind_of_url_is_understood(
    url: str, kind: str, hosts: tuple[tuple[str, int], ...], *, tls: bool
) -> None:
    found = parse_address(url)
    assert (found.kind, found.hosts, found.tls) == (kind, hosts, tls)


def test_sentinels_may_have_a_login_of_their_own() -> None:
    found = parse_address("redis+sentinel://me:x@a/main/3?sentinel_username=s&sentinel_password=y")
    assert (found.service, found.options["db"]) == ("main", 3)
    assert (found.options["username"], found.options["password"]) == ("me", "x")
    assert found.sentinel_options == {"username": "s", "password": "y"}


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:s3cret/x@a:6379",
        "redis://me:s3cret@a:port",
        "redis://me:s3cret@a/zero",
        "redis://me:s3cret@",
        "redis://me:s3cret@a:1,b:2",
        "redis+sentinel://me:s3cret@a",
        "redis+other://me:s3cret@a",
        "redis+cluster://me:s3cret@a/1",
        "redis://me:s3cret@a?prefix=a%20b",
        "redis://me:s3cret@a?prefix={a}",
        "redis://me:s3cret@a?socket_timeout=soon",
        "redis://me:s3cret@a?no_such_option=1",
        "redis+cluster://me:s3cret@a?no_such_option=1",
        "redis+sentinel://me:s3cret@a/main?no_such_option=1",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisServer(url)
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value)) > 40


def test_an_address_does_not_show_its_password() -> None:
    assert "s3cret" not in repr(parse_address("redis://me:s3cret@a"))


def test_nothing_is_sent_twice_whatever_the_url_says() -> None:
    server = RedisServer("redis://a?retry_on_timeout=1&decode_responses=1&protocol=3")
    assert isinstance(server._client, Redis)
    options = server._client.connection_pool.connection_kwargs
    assert options["retry"].get_retries() == 0
    assert options["decode_responses"] is False
