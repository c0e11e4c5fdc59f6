"""The Kafka log keeps the promises of every log, on a real broker."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from tests.support.servers.kafka import Kafka

from comporta.errors import SchemaTooNewError, StoreUnavailableError
from comporta.log.frames import NEWEST, pack
from comporta.log.kafka import reader
from comporta.log.kafka import shelf as kafka_shelf
from comporta.log.kafka.log import KafkaLog
from comporta.log.port import Log
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite
from comporta.testing.conformance.records import (
    append_all,
    end_of,
    opened,
    read_all,
    record,
    until,
)


def make(place: str) -> Log:
    return KafkaLog(place, PARTITIONS, body_bytes_max=20 << 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestKafkaLog(LogSuite):
    """The suite, on a topic a test. Broken is: the broker is killed, and its data stay."""

    maker = f"{__name__}:make"
    server: ClassVar[Kafka]

    @pytest.fixture(autouse=True)
    def _on_a_broker(self, kafka: Kafka) -> None:
        type(self).server = kafka

    def place(self, folder: Path) -> str:
        topic = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        return f"{self.server.url}/{topic}"

    def break_it(self, folder: Path) -> None:  # noqa: ARG002
        self.server.kill()

    def mend_it(self, folder: Path) -> None:  # noqa: ARG002
        self.server.start()


def url_of(kafka: Kafka, topic: str) -> str:
    return f"{kafka.url}/{topic}"


def put(kafka: Kafka, topic: str, value: bytes, partition: int = 0) -> None:
    """A message that somebody else wrote."""
    producer = Producer({"bootstrap.servers": kafka.servers})
    producer.produce(topic, value, partition=partition)
    assert producer.flush(10) == 0


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (msgspec.msgpack.encode((NEWEST + 1, "of the day after tomorrow")), SchemaTooNewError),
        (b"\xc1 garbage", StoreUnavailableError),
        (b"", StoreUnavailableError),
        (pack([record(3)]), StoreUnavailableError),  # of another partition
    ],
)
def test_a_message_that_cannot_be_read_is_said_stays_and_holds_up_its_partition_only(
    kafka: Kafka, value: bytes, error: type[Exception]
) -> None:
    topic = f"garbage-{value.hex()[:20]}"

    async def run() -> None:
        log = make(url_of(kafka, topic))
        async with opened(log):
            await append_all(log, [record(0, b"before"), record(1, b"elsewhere")])
            put(kafka, topic, value)
            await append_all(log, [record(0, b"after"), record(1, b"elsewhere")])
            after = dict.fromkeys(range(PARTITIONS), 0)
            bodies: list[bytes] = []
            while len(bodies) < 3:
                try:
                    batch = await log.read(after, 10, 1 << 20)
                except error:
                    continue  # what can be read is still on its way
                bodies += [entry.record.body for entry in batch.entries]
                after = batch.reached
            with pytest.raises(error):
                await log.read(after, 10, 1 << 20)
            assert sorted(bodies) == [b"before", b"elsewhere", b"elsewhere"]
            assert log.health().degraded
            with pytest.raises(error):
                await log.read(after, 10, 1 << 20)

    asyncio.run(run())


def test_the_same_read_brings_the_same_again_until_it_is_read_past(kafka: Kafka) -> None:
    async def run() -> None:
        log = make(url_of(kafka, "again"))
        async with opened(log):
            await append_all(log, [record(0, b"%d" % n) for n in range(10)])
            first = await log.read({0: 0}, 4, 1 << 20)
            assert await log.read({0: 0}, 4, 1 << 20) == first
            second = await log.read(first.reached, 4, 1 << 20)
            assert [entry.record.body for entry in second.entries] == [b"4", b"5", b"6", b"7"]
            assert await log.read({0: 0}, 4, 1 << 20) == first

    asyncio.run(run())


def test_a_backlog_is_held_back_and_arrives_whole(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_shelf, "EVENTS_MAX", 50)
    monkeypatch.setattr(reader, "AT_A_TIME", 20)
    monkeypatch.setattr(reader, "HOLD_S", 0.05)
    held: list[int] = []

    async def run() -> None:
        log = KafkaLog(url_of(kafka, "backlog"), PARTITIONS, body_bytes_max=1 << 20)
        async with opened(log):
            await append_all(log, [record(n % PARTITIONS, b"%d" % n) for n in range(2_000)])
            after = dict.fromkeys(range(PARTITIONS), 0)
            found: list[int] = []
            while len(found) < 2_000:
                batch = await log.read(after, 40, 1 << 20)
                found += [int(entry.record.body) for entry in batch.entries]
                after = batch.reached
                held.append(held_by(log))
                if len(found) % 400 < 40:
                    await asyncio.sleep(0.2)  # longer than is waited before brokers are told
        for partition in range(PARTITIONS):
            mine = [n for n in found if n % PARTITIONS == partition]
            assert mine == list(range(partition, 2_000, PARTITIONS))

    def held_by(log: KafkaLog) -> int:
        assert log._reader is not None
        return sum(len(one.waiting) for one in log._reader._shelf.stretches.values())

    asyncio.run(run())
    assert max(held) <= 50 + 20 + 1


def test_a_position_beyond_the_end_is_said_and_nothing_is_skipped(kafka: Kafka) -> None:
    async def run() -> None:
        log = make(url_of(kafka, "beyond"))
        async with opened(log):
            await append_all(log, [record(0, b"1"), record(0, b"2")])
            with pytest.raises(StoreUnavailableError, match="read up to 5, but ends at 2"):
                await log.read({0: 5}, 10, 1 << 20)
            assert "beyond" in log.health().degraded
            assert [e.record.body for e in await read_all(log, [0])] == [b"1", b"2"]
            assert not log.health().degraded

    asyncio.run(run())


def test_a_topic_that_was_made_anew_is_another_log_and_is_not_cut(kafka: Kafka) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.servers})

    async def run() -> None:
        log = make(url_of(kafka, "anew"))
        async with opened(log):
            before = await log.identity()
            await append_all(log, [record(0, b"old") for _ in range(5)])
            end = await end_of(log)
            admin.delete_topics(["anew"])["anew"].result(20)
            other = make(url_of(kafka, "anew"))
            await until_made(other)
            async with opened(other):
                assert await other.identity() != before
                await append_all(other, [record(0, b"new") for _ in range(9)])
                await log.commit(end)  # of the old one: nothing of the new one may go

                async def noticed() -> bool:
                    return "made anew" in log.health().error

                await until("it is noticed", noticed)
                assert len(await read_all(other, [0])) == 9

    async def until_made(other: Log) -> None:
        async def made() -> bool:
            async with opened(other):
                return not other.health().error

        await until("the topic is made again", made)

    asyncio.run(run())


def test_a_body_at_the_limit_is_taken(kafka: Kafka) -> None:
    async def run() -> None:
        log = KafkaLog(url_of(kafka, "limit"), 1, body_bytes_max=20 << 20)
        async with opened(log):
            body = os.urandom(20 << 20)
            headers = (("x-chatwoot-delivery", "x" * 60_000),)
            await log.append(record(0, body, headers=headers))
            assert [entry.record.body == body for entry in await read_all(log)] == [True]
            with pytest.raises(StoreUnavailableError):
                await log.append(record(0, body + bytes(1 << 20)))
            assert not log.health().error
            assert log.pending_bytes == 0

    asyncio.run(run())


def test_a_producer_that_broke_for_good_is_made_anew(kafka: Kafka) -> None:
    async def run() -> None:
        log = KafkaLog(url_of(kafka, "fatal"), PARTITIONS, body_bytes_max=1 << 20)
        async with opened(log):
            await append_all(log, [record(0, b"%d" % n) for n in range(10)])
            first = log._writer._producer
            waiting = [log.append(record(0, b"%d" % n)) for n in range(10, 20)]
            log._writer._said(KafkaError(KafkaError._FATAL, fatal=True))
            told = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(one is None or isinstance(one, StoreUnavailableError) for one in told)
            assert log._writer._producer is not first

            async def healthy() -> bool:
                return not log.health().error

            await until("health is green", healthy)
            await append_all(log, [record(0, b"%d" % n) for n in range(20, 30)])
            bodies = [int(entry.record.body) for entry in await read_all(log, [0])]
            assert bodies == sorted(bodies)
            assert {*range(10), *range(20, 30)} <= set(bodies)
            assert log.pending_bytes == 0

    asyncio.run(run())


def test_groups_are_observed_when_they_are_durable(kafka: Kafka) -> None:
    seen: list[tuple[int, float]] = []

    async def run() -> None:
        log = KafkaLog(
            url_of(kafka, "seen"),
            PARTITIONS,
            body_bytes_max=1 << 20,
            observe=lambda count, seconds: seen.append((count, seconds)),
        )
        async with opened(log):
            await append_all(log, [record(n % PARTITIONS) for n in range(100)])

    asyncio.run(run())
    assert sum(count for count, _ in seen) == 100
    assert all(0 < seconds < 5 for _, seconds in seen)
