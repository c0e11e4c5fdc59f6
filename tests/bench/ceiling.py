"""What an engine's client can do at most: the same bytes, published with confirms and nothing else.

`python -m tests.bench.ceiling ENGINE URL SECONDS` prints JSON. As many publishers as the ingest
bench has connections, each waiting for the confirmation of one message before it sends the next.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import uvloop
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from redis.asyncio import Redis
from tests.bench.load import CONNECTIONS, bodies

Publish = Callable[[bytes], Awaitable[object]]
QUEUE = "comporta.bench.ceiling"
PARTITIONS = 16


@asynccontextmanager
async def redis(url: str) -> AsyncIterator[Publish]:
    """`XADD`, each answered before the next."""
    client = Redis.from_url(url)
    try:
        yield lambda body: client.xadd(QUEUE, {"body": body})
    finally:
        await client.delete(QUEUE)
        await client.aclose()


@asynccontextmanager
async def rabbitmq(url: str) -> AsyncIterator[Publish]:
    """Persistent messages to a quorum queue on one channel with publisher confirms."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})

    async def publish(body: bytes) -> object:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        return await channel.default_exchange.publish(message, QUEUE)

    try:
        yield publish
    finally:
        await queue.delete(if_unused=False, if_empty=False)
        await connection.close()


@asynccontextmanager
async def kafka(url: str) -> AsyncIterator[Publish]:
    """An idempotent producer with `acks=all`; delivery reports are fetched by a thread."""
    loop = asyncio.get_running_loop()
    servers = url.removeprefix("kafka://").partition("/")[0]
    admin = AdminClient({"bootstrap.servers": servers})
    made = admin.create_topics([NewTopic(QUEUE, PARTITIONS, 1)])
    await asyncio.to_thread(made[QUEUE].result)
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "acks": "all"})
    going = True

    def poll() -> None:
        while going:
            producer.poll(0.1)

    def publish(body: bytes) -> Awaitable[object]:
        done: asyncio.Future[object] = loop.create_future()

        def report(error: Any, _message: Any) -> None:
            loop.call_soon_threadsafe(done.set_result, error)

        producer.produce(QUEUE, body, on_delivery=report)
        return done

    polling = asyncio.create_task(asyncio.to_thread(poll))
    try:
        yield publish
    finally:
        going = False
        await polling


ENGINES = {"redis": redis, "rabbitmq": rabbitmq, "kafka": kafka}


async def measure(engine: str, url: str, seconds: float) -> dict[str, float]:
    """How many messages a second were confirmed, and the client's CPU for each, microseconds."""
    some = bodies()
    async with ENGINES[engine](url) as publish:
        await _publish_until(publish, some, time.monotonic() + min(1.0, seconds))
        cpu_s, began = time.process_time(), time.monotonic()
        counts = await asyncio.gather(
            *[_publish_until(publish, some, began + seconds) for _ in range(CONNECTIONS)]
        )
        took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
    return {"per_s": sum(counts) / took_s, "cpu_us": cpu_s / max(1, sum(counts)) * 1e6}


async def _publish_until(publish: Publish, some: Iterator[bytes], end_at: float) -> int:
    count = 0
    while time.monotonic() < end_at:
        await publish(next(some))
        count += 1
    return count


if __name__ == "__main__":
    name, where, lasting = sys.argv[1:]
    sys.stdout.write(json.dumps(uvloop.run(measure(name, where, float(lasting)))) + "\n")
