"""A data folder with a fleet and a stock of events in its log, made while no gateway is looking.

The records are as ingest makes them; they go through the log's own writer, so a gateway that runs
already takes them over as well. It measures nothing.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from uuid import uuid4

import msgspec
from tests.bench.load import PAYLOAD

from comporta.chatwoot.peek import peek
from comporta.domain.event import Headers, Record
from comporta.domain.fleet import Instance
from comporta.domain.partitioning import partition_of
from comporta.fleet.parse import load
from comporta.settings import Settings
from comporta.stores import Stores, open_stores
from comporta.testing.loop import run

GROUP = 64
"""Records handed over together: what 64 connections would have brought."""


class Stock(msgspec.Struct, frozen=True):
    """So many events, spread evenly over instances, and in each over so many conversations."""

    events: int
    instances: int
    conversations: int
    run: str = "stock"
    """For the markers; "": none, so that a sink judges neither order nor lag."""


def bodies(stock: Stock) -> Iterator[tuple[int, bytes]]:
    """The number of an instance and a `message_created` of it, the instances in turns."""
    lanes = stock.instances * stock.conversations
    at_ms = str(time.time_ns() // 1_000_000)
    for number in range(stock.events):
        values = {
            "@MESSAGE@": str(number + 1),
            "@CONVERSATION@": str(1 + number // stock.instances % stock.conversations),
            "@SEQ@": str(1 + number // lanes),
            "@AT_MS@": at_ms,
        }
        text = _template(stock.run)
        for slot, value in values.items():
            text = text.replace(slot, value)
        yield number % stock.instances, text.encode()


@cache
def _template(name: str) -> str:
    payload = json.loads(PAYLOAD.read_text())
    payload["id"], payload["conversation"]["id"] = "@MESSAGE@", "@CONVERSATION@"
    if name:
        marker = {"run": name, "seq": "@SEQ@", "at_ms": "@AT_MS@"}
        payload["content_attributes"] = {"comporta": marker}
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    for slot in ("@MESSAGE@", "@CONVERSATION@", "@SEQ@", "@AT_MS@"):
        text = text.replace(f'"{slot}"', slot)
    return text


def headers() -> Headers:
    """What ingest keeps of a call's headers; the signature is of the right length."""
    return (
        ("content-type", "application/json"),
        ("x-chatwoot-delivery", str(uuid4())),
        ("x-chatwoot-timestamp", str(int(time.time()))),
        ("x-chatwoot-signature", "sha256=" + "0" * 64),
    )


def apply(data: Path, paused: str = "") -> None:
    """Apply `data/fleet.toml`, as a start of the gateway would; pause one destination of it."""

    async def work() -> None:
        async with open_stores(Settings(data=data)) as stores:
            await stores.fleet.apply(load(data / "fleet.toml", stores.vault), "bench")
            if paused:
                await stores.fleet.pause_destination(paused, "the bench holds it", "bench")

    run(work())


def resume(data: Path, destination: str) -> None:
    """Let deliveries go there again."""

    async def work() -> None:
        async with open_stores(Settings(data=data)) as stores:
            await stores.fleet.resume_destination(destination, "bench")

    run(work())


def put(data: Path, stock: Stock) -> None:
    """Append the stock to the log, durably; its instances are the first ones of the fleet."""

    async def work() -> None:
        async with open_stores(Settings(data=data)) as stores:
            instances = (await stores.fleet.read()).instances
            await _append(stores, instances, stock)

    run(work())


async def _append(stores: Stores, instances: tuple[Instance, ...], stock: Stock) -> None:
    group = []
    for number, body in bodies(stock):
        record = _record(instances[number], body, stores.log.partitions)
        group.append(stores.log.append(record))
        if len(group) == GROUP:
            await asyncio.gather(*group)
            group.clear()
    await asyncio.gather(*group)


def _record(instance: Instance, body: bytes, partitions: int) -> Record:
    """See `Ingest._record`, whose way this is."""
    seen = peek(body)
    return Record(
        partition=partition_of(instance.id, seen.subject, partitions),
        accepted_at_ms=time.time_ns() // 1_000_000,
        instance_id=instance.id,
        source_id=instance.sources[0].id,
        event_type=seen.event_type,
        account_id=seen.account_id,
        subject=seen.subject,
        verified=True,
        headers=headers(),
        body=body,
    )
