"""What was acknowledged by the log on RabbitMQ outlives what happens to servers and connections."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.support.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitServer
from tests.support.writers import WRITERS, Writers

from comporta.domain.event import Record
from comporta.errors import StoreUnavailableError
from comporta.log.rabbitmq.log import RabbitLog
from comporta.testing.conformance.records import (
    ALL_BYTES,
    ENOUGH,
    append_all,
    end_of,
    opened,
    read_all,
    record,
    take_all,
    until,
)

PARTITIONS = 4
Fault = Callable[[RabbitServer, Proxy], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    with RabbitServer(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@pytest.fixture
def proxy(server: RabbitServer) -> Iterator[Proxy]:
    server.ensure()
    with Proxy(server.port) as between:
        yield between


def log_through(proxy: Proxy, folder: Path) -> RabbitLog:
    url = f"amqp://guest:guest@127.0.0.1:{proxy.port}?prefix={folder.name[-60:]}"
    return RabbitLog(url, PARTITIONS, body_bytes_max=20 << 20)


def kill_and_restart(server: RabbitServer, _proxy: Proxy) -> None:
    server.restart()


def freeze_and_thaw(server: RabbitServer, _proxy: Proxy) -> None:
    server.freeze()
    threading.Event().wait(7)  # longer than a confirmation may take: that is the fault
    server.thaw()


def cut_connections(_server: RabbitServer, proxy: Proxy) -> None:
    proxy.cut()


def cut_amid_a_message(_server: RabbitServer, proxy: Proxy) -> None:
    proxy.cut_after(777)


def lose_confirmations(_server: RabbitServer, proxy: Proxy) -> None:
    proxy.swallow()
    threading.Event().wait(1.5)  # as above
    proxy.cut()
    proxy.resume()


FAULTS = [
    kill_and_restart,
    freeze_and_thaw,
    cut_connections,
    cut_amid_a_message,
    lose_confirmations,
]


async def keep_reading(log: RabbitLog, found: list[Record]) -> None:
    """As dispatch reads, from one position to the next, whatever happens."""
    after = dict.fromkeys(range(PARTITIONS), 0)
    while True:
        try:
            batch = await log.read(after, 256, ALL_BYTES)
        except StoreUnavailableError:
            await asyncio.sleep(0.1)
            continue
        found += [entry.record for entry in batch.entries]
        after = batch.reached
        await log.commit(after)
        await log.wait(0.02)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_was_acknowledged_is_read_in_order(
    server: RabbitServer, proxy: Proxy, tmp_path: Path, fault: Fault
) -> None:
    async def run() -> None:
        log, found = log_through(proxy, tmp_path), list[Record]()
        async with opened(log):
            writers = Writers(log)
            reading = asyncio.create_task(keep_reading(log, found))
            async with asyncio.TaskGroup() as tasks:
                for writer in range(WRITERS):
                    tasks.create_task(writers.run(writer, record()))
                for _round in range(2):
                    await writers.go_on()
                    await asyncio.to_thread(fault, server, proxy)
                    await writers.go_on()
                writers.stop()

            async def all_of_it() -> bool:
                return writers.count <= len({one.uid for one in found}) and await log.lag() == 0

            await until("all is read", all_of_it, 15.0)
            reading.cancel()
            writers.check(found)

    asyncio.run(run())


def test_an_append_whose_confirmation_is_lost_is_refused_and_a_second_copy_has_the_same_id(
    proxy: Proxy, tmp_path: Path
) -> None:
    async def run() -> list[bytes]:
        log = log_through(proxy, tmp_path)
        one = msgspec.structs.replace(record(0, b"once"), uid=b"u" * 16)
        async with opened(log):
            proxy.swallow()
            began = time.monotonic()
            with pytest.raises(StoreUnavailableError, match="in time"):
                await log.append(one)
            assert time.monotonic() - began < 8
            proxy.cut()
            proxy.resume()
            await until("it is healthy again", lambda: healthy(log), 5.0)
            await log.append(one)
            return [entry.record.uid for entry in await take_all(log)]

    assert asyncio.run(run()) == [b"u" * 16] * 2


async def healthy(log: RabbitLog) -> bool:
    return not log.health().error


def test_a_probe_tells_within_about_a_second_whether_an_append_would_be_confirmed(
    server: RabbitServer, proxy: Proxy, tmp_path: Path
) -> None:
    async def run() -> None:
        log = log_through(proxy, tmp_path)
        async with opened(log):
            await log.probe()
            await log.probe()
            assert await log.lag() == 0  # probes are no events
            server.freeze()
            async with asyncio.timeout(2.0):
                with pytest.raises(StoreUnavailableError):
                    await log.probe()
            server.thaw()

            async def answers() -> bool:
                try:
                    await log.probe()
                except StoreUnavailableError:
                    return False
                return True

            await until("a probe finds it", answers, 5.0)
            await log.append(record())

    asyncio.run(run())


@contextmanager
def alarm_of_the_disk(server: RabbitServer) -> Iterator[None]:
    server.ctl("set_disk_free_limit", str(10**15))
    try:
        yield
    finally:
        server.ctl("set_disk_free_limit", str(10**6))


def test_an_alarm_of_the_server_is_named_and_what_waits_is_read_meanwhile(
    server: RabbitServer, proxy: Proxy, tmp_path: Path
) -> None:
    async def run() -> None:
        log = log_through(proxy, tmp_path)
        async with opened(log):
            await append_all(log, [record(0, b"%d" % n) for n in range(10)])
            with alarm_of_the_disk(server):
                with pytest.raises(StoreUnavailableError, match="low on disk"):
                    await log.append(record(0, b"meanwhile"))
                assert "low on disk" in log.health().error
                async with asyncio.timeout(0.5):
                    with pytest.raises(StoreUnavailableError, match="low on disk"):
                        await log.append(record(0, b"at once"))
                    with pytest.raises(StoreUnavailableError, match="low on disk"):
                        await log.probe()
                # Another process that starts now is told, too.
                other = log_through(proxy, tmp_path)
                async with opened(other):
                    assert "low on disk" in other.health().error
                assert len(await read_all(log, [0])) >= 10
                await log.commit(await end_of(log, [0]))
            await until("it is healthy though nobody appends", lambda: healthy(log), 5.0)
            await log.append(record(0, b"after"))
            bodies = [entry.record.body for entry in await take_all(log)]
            assert bodies[-1] == b"after"

    asyncio.run(run())


def test_a_queue_that_somebody_deletes_is_said_to_be_gone_and_made_again(
    server: RabbitServer, proxy: Proxy, tmp_path: Path
) -> None:
    async def run() -> None:
        log = log_through(proxy, tmp_path)
        async with opened(log):
            assert not (await log.read({2: 0}, ENOUGH, ALL_BYTES)).entries
            await asyncio.to_thread(server.ctl, "delete_queue", f"{tmp_path.name[-60:]}.2")
            with pytest.raises(StoreUnavailableError, match=r"\.2.* is gone"):
                await log.append(record(2))
            await until("it is healthy again", lambda: healthy(log), 5.0)
            await log.append(record(2, b"again"))

            async def read_again() -> bool:
                try:
                    entries = (await log.read({2: 0}, ENOUGH, ALL_BYTES)).entries
                except StoreUnavailableError:
                    return False
                return [entry.record.body for entry in entries] == [b"again"]

            await until("the new queue is read", read_again)

    asyncio.run(run())
