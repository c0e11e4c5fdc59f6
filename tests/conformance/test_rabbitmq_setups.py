"""RabbitMQ as operators set it up: logins, virtual hosts, TLS, and setups that must not be."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiormq
import pytest
from tests.support.certificates import make_certificate
from tests.support.servers.rabbitmq import RabbitServer

from comporta.errors import ConfigError, StoreUnavailableError
from comporta.log.rabbitmq import queues
from comporta.log.rabbitmq.address import address_of
from comporta.log.rabbitmq.log import RabbitLog
from comporta.log.rabbitmq.queues import Queues
from comporta.testing.conformance.records import end_of, opened, read_all, record, until

PARTITIONS = 4
PASSWORD = "s3cret@/:é"
QUOTED = "s3cret%40%2F%3A%C3%A9"
MESSAGE_BYTES_MAX = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    folder = tmp_path_factory.mktemp("rabbitmq")
    certificate, key = make_certificate(folder)
    config = f"max_message_size = {MESSAGE_BYTES_MAX}\n"
    config += f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
    with RabbitServer(folder, config, tls=True) as running:
        running.ctl("add_vhost", "chat/wöot")
        running.ctl("add_user", "gateway", PASSWORD)
        queues, write = r"^comporta\.log\.", r"^(comporta\.log\.|amq\.default$)"
        running.ctl("set_permissions", "-p", "chat/wöot", "gateway", queues, write, queues)
        yield running


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return tmp_path.name[-60:]


@pytest.fixture
def url(server: RabbitServer, prefix: str) -> str:
    return f"{server.url}?prefix={prefix}"


def log_at(url: str, partitions: int = PARTITIONS, body_bytes_max: int = 1 << 20) -> RabbitLog:
    return RabbitLog(url, partitions, body_bytes_max=body_bytes_max)


async def use(log: RabbitLog) -> None:
    """All that a gateway asks of a log."""
    async with opened(log):
        await log.append(record(0, b"1"))
        assert [entry.record.body for entry in await read_all(log)] == [b"1"]
        last = await end_of(log)

        async def settled() -> bool:
            await log.commit(last)
            return await log.lag() == 0

        await until("it is forgotten", settled)
        await log.room()
        await log.probe()
        assert log.health().warnings == ()


def test_a_user_who_may_use_the_queues_of_one_virtual_host_is_enough(server: RabbitServer) -> None:
    url = f"amqp://gateway:{QUOTED}@127.0.0.1:{server.port}/chat%2Fw%C3%B6ot"
    asyncio.run(use(log_at(url)))


def test_tls_is_used_and_the_certificate_is_checked(server: RabbitServer, prefix: str) -> None:
    async def told(options: str) -> str:
        log = log_at(f"amqps://guest:guest@127.0.0.1:{server.tls_port}?prefix={prefix}{options}")
        async with opened(log):
            return log.health().error

    assert "certificate" in asyncio.run(told(""))
    assert not asyncio.run(told(f"&cafile={server.folder / 'server.crt'}"))


@pytest.mark.parametrize(
    ("login", "said"),
    [("gateway:wrong", "user name and password"), ("guest:guest", "virtual host")],
)
def test_no_message_tells_a_password(server: RabbitServer, login: str, said: str) -> None:
    async def told() -> str:
        log = log_at(f"amqp://{login}@127.0.0.1:{server.port}/nowhere")
        async with opened(log):
            with pytest.raises(StoreUnavailableError) as caught:
                await log.append(record())
            return f"{caught.value} {log.health()}"

    words = asyncio.run(told())
    assert said in words
    assert f"127.0.0.1:{server.port}" in words
    assert "wrong" not in words
    assert "guest" not in words


def test_a_queue_of_another_kind_is_refused_by_its_name(url: str, prefix: str) -> None:
    async def run() -> None:
        async with await aiormq.connect(url.partition("?")[0]) as connection:
            channel = await connection.channel()
            await channel.queue_declare(f"{prefix}.2", durable=True)
        log = log_at(url)
        with pytest.raises(ConfigError, match=rf"{prefix}\.2.*x-queue-type.*Delete it"):
            await log.open()
        # It can be mended without another start of anything else.
        async with await aiormq.connect(url.partition("?")[0]) as connection:
            channel = await connection.channel()
            await channel.queue_delete(f"{prefix}.2")
        await use(log_at(url))

    asyncio.run(run())


@pytest.mark.parametrize("partitions", [2, 8])
def test_another_number_of_partitions_is_refused(url: str, partitions: int) -> None:
    async def run() -> None:
        await use(log_at(url))
        with pytest.raises(ConfigError, match=r"made with 4 partitions.*Set partitions = 4"):
            await log_at(url, partitions).open()

    asyncio.run(run())


def test_a_server_that_takes_no_message_as_large_as_an_event_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = ((queues.VERSION_MIN, MESSAGE_BYTES_MAX // 2),)
    monkeypatch.setattr(queues, "SIZES_USUAL", usual)
    with pytest.raises(ConfigError, match=r"max_message_size.*body_bytes_max"):
        asyncio.run(log_at(url, body_bytes_max=MESSAGE_BYTES_MAX).open())
    asyncio.run(use(log_at(url, body_bytes_max=MESSAGE_BYTES_MAX // 2)))


def test_an_event_that_is_too_large_for_the_server_is_refused_and_others_go_on(url: str) -> None:
    async def run() -> None:
        log = log_at(url)
        async with opened(log):
            with pytest.raises(StoreUnavailableError, match="larger than"):
                await log.append(record(0, bytes(2 * MESSAGE_BYTES_MAX)))

            async def healthy() -> bool:
                return not log.health().error

            await until("it is healthy again", healthy)
            await log.append(record())

    asyncio.run(run())


def test_a_strangers_message_is_said_to_be_one_and_holds_up_only_what_is_behind_it(
    url: str, prefix: str
) -> None:
    async def run() -> None:
        log = log_at(url)
        async with opened(log):
            await log.append(record(1, b"before"))
            async with await aiormq.connect(url.partition("?")[0]) as connection:
                channel = await connection.channel()
                await channel.basic_publish(b"\xc1 garbage", routing_key=f"{prefix}.1")
            await log.append(record(1, b"behind"))
            await log.append(record(2, b"beside"))
            after, bodies = dict.fromkeys(range(PARTITIONS), 0), set[bytes]()

            async def refused() -> bool:
                nonlocal after
                try:
                    batch = await log.read(after, 100, 1 << 30)
                except StoreUnavailableError as error:
                    return f"{prefix}.1" in str(error)
                bodies.update(entry.record.body for entry in batch.entries)
                after = batch.reached
                return False

            await until("it is told", refused)
            assert bodies == {b"before", b"beside"}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"product": b"RabbitMQ", "version": b"3.9.29"}, "RabbitMQ 3.9.29"),
        ({"product": "LavinMQ", "version": "4.1.0"}, "LavinMQ"),
        ({}, r"\?"),
    ],
)
def test_another_server_or_an_old_one_is_refused(properties: dict[str, object], said: str) -> None:
    class Told:
        server_properties = properties

    queues = Queues("rabbit:5672", "comporta.log", PARTITIONS, 1 << 20)
    with pytest.raises(ConfigError, match=said):
        asyncio.run(queues.prepare(Told()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("amqp://h?prefx=a", r"prefx.*prefix"),
        ("amqp://h?prefix=a/b", "prefix"),
        ("amqp://h?prefix=", "prefix"),
    ],
)
def test_options_that_are_none_are_refused(wrong: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        address_of(wrong)


@pytest.mark.parametrize("partitions", [0, 63])
def test_as_many_partitions_as_no_log_has_are_refused(partitions: int) -> None:
    with pytest.raises(ConfigError, match="partitions"):
        log_at("amqp://h", partitions)
