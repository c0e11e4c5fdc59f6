"""The dispatch process itself, as a worker starts it: its orders, and every way to end it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.support.listener import Listener, listening, says

from comporta import companion, dispatching
from comporta.companion import Orders
from comporta.domain.delivery import DeliveryState
from comporta.fleet.parse import load
from comporta.ledger.port import DeliveryFilter, DeliveryRow
from comporta.settings import Settings
from comporta.stores import Stores, open_stores
from comporta.testing.conformance.records import record, until

FLEET = """
[[instance]]
name = "loja"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-the-shop"
[[destination]]
name = "crm"
url = "URL"
retry = [60]
[[route]]
name = "tudo"
instances = ["*"]
events = ["*"]
to = ["crm"]
"""
SLOW_S = 2.6
"""Longer than a dispatcher whose worker was killed waits for what is under way."""


@contextmanager
def dispatcher(settings: Settings, padding: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A dispatch process that has its orders; killed at the end, if need be."""
    orders = msgspec.json.encode(Orders(settings.as_arguments(), os.getpid(), os.getpid()))
    with subprocess.Popen(
        [sys.executable, "-c", companion._START, companion._ROOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as process:
        try:
            send(process, b" " * padding + orders + b"\n")
            yield process
        finally:
            process.kill()


def send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    while data:
        data = data[os.write(process.stdin.fileno(), data) :]


def end_input(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


async def owned(stores: Stores) -> int:
    """How many partitions are owned by who lives."""
    workers = await stores.state.workers(time.time_ns() // 1_000_000, 3.0)
    return sum(worker.partitions for worker in workers)


async def all_owned(stores: Stores) -> None:
    async def all_of_them() -> bool:
        return await owned(stores) == 16

    await until("the dispatcher owns all", all_of_them)


@pytest.mark.parametrize(
    ("how", "padding"),
    [("farewell", 0), ("farewell", 300_000), ("end of input", 0), ("SIGTERM", 0)],
)
def test_it_ends_in_good_order_and_leaves_no_lease(tmp_path: Path, how: str, padding: int) -> None:
    settings = Settings(data=tmp_path)

    async def run(process: subprocess.Popen[bytes]) -> int:
        async with open_stores(settings) as stores:
            await all_owned(stores)
            process.send_signal(signal.SIGINT)  # the whole process group's; its worker decides
            match how:
                case "farewell":
                    send(process, companion.FAREWELL)
                    end_input(process)
                case "end of input":
                    end_input(process)
                case _:
                    process.send_signal(signal.SIGTERM)
            status = await asyncio.to_thread(process.wait, 60)
            assert await stores.state.workers(time.time_ns() // 1_000_000, 60) == []
            return status

    with dispatcher(settings, padding) as process:
        assert asyncio.run(run(process)) == 0


def test_a_worker_that_is_gone_before_it_gave_orders_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", companion._START, companion._ROOT],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")


def test_a_store_that_cannot_be_opened_is_said_in_a_line_and_ends_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with dispatcher(Settings(data=tmp_path / "file" / "data")) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"dispatch.not_started" in said
    assert b"Traceback" not in said


@asynccontextmanager
async def under_way(
    settings: Settings, folder: Path
) -> AsyncIterator[tuple[Stores, Listener, asyncio.Event]]:
    """Stores with one event in the log, for a destination that answers once the event is set."""
    go = asyncio.Event()
    answer = says(200)

    async def slowly(writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await answer(writer)

    async with listening(slowly) as crm, open_stores(settings) as stores:
        (folder / "fleet.toml").write_text(FLEET.replace("URL", crm.url))
        await stores.fleet.apply(load(folder / "fleet.toml", stores.vault), "test")
        (instance,) = (await stores.ledger.fleet()).instances
        source = instance.sources[0].id
        await stores.log.append(record(instance_id=instance.id, source_id=source))
        yield stores, crm, go


async def deliveries(stores: Stores) -> list[DeliveryRow]:
    return await stores.ledger.deliveries(DeliveryFilter())


@pytest.mark.parametrize("farewell", [True, False])
def test_how_long_what_is_under_way_may_take_at_the_end_depends_on_how_the_worker_ended(
    tmp_path: Path, farewell: bool
) -> None:
    assert SLOW_S > dispatching.DRAIN_AFTER_CRASH_S
    settings = Settings(data=tmp_path / "data", drain_s=30)

    async def run(process: subprocess.Popen[bytes]) -> list[DeliveryState]:
        async with under_way(settings, tmp_path) as (stores, crm, go):

            async def under_way_now() -> bool:
                return bool(crm.requests)

            await until("the attempt is under way", under_way_now)
            if farewell:
                send(process, companion.FAREWELL)
            end_input(process)
            asyncio.get_running_loop().call_later(SLOW_S, go.set)
            assert await asyncio.to_thread(process.wait, 60) == 0
            assert go.is_set() is farewell, "whether it was waited for"
            return [one.state for one in await deliveries(stores)]

    settings.data.mkdir()
    with dispatcher(settings) as process:
        (state,) = asyncio.run(run(process))
    # What nobody waited for is not lost: it is as open as before.
    assert state is (DeliveryState.DELIVERED if farewell else DeliveryState.PENDING)
