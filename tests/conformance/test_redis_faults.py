"""What was acknowledged by the log in Redis outlives what happens to servers and connections.

Each fault strikes while many tasks append, each repeating a record with the same id until it is
acknowledged, as the spool does.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.proxy import Proxy
from tests.support.servers.redis import RedisProcess
from tests.support.writers import WRITERS, Writers

from comporta.errors import StoreUnavailableError
from comporta.log.redis.log import RedisLog
from comporta.testing.conformance.records import opened, read_all, record, until

PARTITIONS = 4
Fault = Callable[[RedisProcess, Proxy], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def proxy(server: RedisProcess) -> Iterator[Proxy]:
    server.ensure()
    with Proxy(server.port) as between:
        yield between


def log_through(proxy: Proxy, folder: Path, answer_s: float = 1.0) -> RedisLog:
    url = f"redis://127.0.0.1:{proxy.port}?prefix={folder.name[-60:]}&socket_timeout={answer_s}"
    return RedisLog(url, PARTITIONS, body_bytes_max=20 << 20)


def kill_and_restart(server: RedisProcess, _proxy: Proxy) -> None:
    server.restart()


def freeze_and_thaw(server: RedisProcess, _proxy: Proxy) -> None:
    server.freeze()
    threading.Event().wait(2.5)  # longer than an answer may take: that is the fault
    server.thaw()


def cut_connections(_server: RedisProcess, proxy: Proxy) -> None:
    proxy.cut()


def cut_amid_a_message(_server: RedisProcess, proxy: Proxy) -> None:
    proxy.cut_after(777)


def lose_answers(_server: RedisProcess, proxy: Proxy) -> None:
    proxy.swallow()
    threading.Event().wait(1.5)  # as above
    proxy.cut()
    proxy.resume()


FAULTS = [kill_and_restart, freeze_and_thaw, cut_connections, cut_amid_a_message, lose_answers]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_was_acknowledged_is_there_in_order(
    server: RedisProcess, proxy: Proxy, tmp_path: Path, fault: Fault
) -> None:
    async def run() -> None:
        log = log_through(proxy, tmp_path)
        async with opened(log):
            writers = Writers(log)
            async with asyncio.TaskGroup() as tasks:
                for writer in range(WRITERS):
                    tasks.create_task(writers.run(writer, record()))
                for _round in range(3):
                    await writers.go_on()
                    await asyncio.to_thread(fault, server, proxy)
                    await writers.go_on()
                writers.stop()
            writers.check([entry.record for entry in await read_all(log)])

    asyncio.run(run())


def test_an_append_whose_answer_is_lost_is_refused_and_a_second_copy_has_the_same_id(
    proxy: Proxy, tmp_path: Path
) -> None:
    async def run() -> list[bytes]:
        log = log_through(proxy, tmp_path)
        one = msgspec.structs.replace(record(0, b"once"), uid=b"u" * 16)
        async with opened(log):
            proxy.swallow()
            with pytest.raises(StoreUnavailableError, match="in time"):
                await log.append(one)
            proxy.cut()
            proxy.resume()

            async def healthy() -> bool:
                return not log.health().error

            await until("it is healthy again", healthy, 5.0)
            await log.append(one)
            return [entry.record.uid for entry in await read_all(log)]

    assert asyncio.run(run()) == [b"u" * 16] * 2


def test_while_the_server_is_away_an_append_is_refused_at_once(
    proxy: Proxy, tmp_path: Path
) -> None:
    async def run() -> None:
        log = log_through(proxy, tmp_path)
        async with opened(log):
            await log.append(record())
            proxy.stall()
            with pytest.raises(StoreUnavailableError):
                await log.append(record())
            for _ in range(5):
                async with asyncio.timeout(0.2):
                    with pytest.raises(StoreUnavailableError):
                        await log.append(record())
            async with asyncio.timeout(2.0):
                with pytest.raises(StoreUnavailableError):
                    await log.probe()
            proxy.resume()

            async def answers() -> bool:
                try:
                    await log.probe()
                except StoreUnavailableError:
                    return False
                return True

            await until("a probe finds it", answers, 5.0)
            await log.append(record())

    asyncio.run(run())


def test_what_is_away_is_noticed_though_nobody_appends(
    server: RedisProcess, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comporta.log.redis.watch.LOOK_PERIOD_S", 0.2)

    async def run() -> None:
        log = log_through(proxy, tmp_path)
        async with opened(log):
            server.kill()

            async def told() -> bool:
                return "127.0.0.1" in log.health().error

            await until("health tells", told, 5.0)
            server.restart()

            async def healthy() -> bool:
                return not log.health().error

            await until("health is green", healthy, 5.0)

    asyncio.run(run())
