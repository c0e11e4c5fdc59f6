"""How a Kafka log meets the topic that it finds, or makes: settings, rights, logins, brokers."""

import asyncio
from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it names what it exports
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from structlog.testing import capture_logs
from tests.support.servers.kafka import PASSWORD, USER, Kafka

from comporta.errors import ConfigError, StoreUnavailableError
from comporta.log.kafka.log import KafkaLog
from comporta.log.port import LogHealth
from comporta.testing.conformance.records import append_all, opened, read_all, record, until

PARTITIONS = 4
BODY_BYTES_MAX = 2 << 20
PLAIN = "?security.protocol=sasl_plaintext"


def log_at(url: str) -> KafkaLog:
    return KafkaLog(url, PARTITIONS, body_bytes_max=BODY_BYTES_MAX)


def make_topic(
    kafka: Kafka, name: str, config: Mapping[str, str], *, partitions: int = PARTITIONS
) -> None:
    config = {"max.message.bytes": str(8 << 20), "retention.ms": "-1", **config}
    new = NewTopic(name, partitions, 1, config=config)
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    admin.create_topics([new])[name].result(20)


def settings_of(kafka: Kafka, name: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    entries = admin.describe_configs([resource])[resource].result(20)
    return {name: entry.value for name, entry in entries.items()}


def allow(kafka: Kafka, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    bindings = [
        AclBinding(
            kind,
            name,
            ResourcePatternType.LITERAL,
            f"User:{USER}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(20)


def health_of(url: str) -> LogHealth:
    async def run() -> LogHealth:
        log = log_at(url)
        async with opened(log):
            return log.health()

    return asyncio.run(run())


def test_a_topic_that_is_not_there_is_made_with_safe_settings(kafka: Kafka) -> None:
    health_of(f"{kafka.url}/made")
    settings = settings_of(kafka, "made")
    assert settings["cleanup.policy"] == "delete"
    assert settings["retention.ms"] == settings["retention.bytes"] == "-1"
    assert settings["unclean.leader.election.enable"] == "false"
    assert int(settings["max.message.bytes"]) > BODY_BYTES_MAX


def test_many_workers_that_start_at_once_make_one_topic(kafka: Kafka) -> None:
    async def run() -> None:
        logs = [log_at(f"{kafka.url}/together") for _ in range(4)]
        await asyncio.gather(*[log.open() for log in logs])
        try:
            assert len({await log.identity() for log in logs}) == 1
            await asyncio.gather(*[log.append(record()) for log in logs])
        finally:
            await asyncio.gather(*[log.close() for log in logs])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("config", "partitions", "words"),
    [
        ({}, 6, "has 6 partitions, the setting partitions says 4"),
        ({"cleanup.policy": "compact"}, 4, "cleanup.policy=compact"),
        ({"cleanup.policy": "compact,delete"}, 4, "cleanup.policy=compact,delete"),
        ({"max.message.bytes": "1000000"}, 4, "max.message.bytes=1000000"),
    ],
)
def test_a_topic_that_would_lose_or_refuse_events_is_refused_by_name(
    kafka: Kafka, config: dict[str, str], partitions: int, words: str
) -> None:
    name = f"refused-{abs(hash(words))}"
    make_topic(kafka, name, config, partitions=partitions)
    with pytest.raises(ConfigError) as refused:
        health_of(f"{kafka.url}/{name}")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"retention.ms": "86400000"}, "retention.ms=86400000"),
        ({"retention.bytes": "1000000"}, "retention.bytes=1000000"),
        ({"unclean.leader.election.enable": "true"}, "unclean.leader.election.enable=true"),
        ({}, "replication.factor=1"),
    ],
)
def test_a_setting_that_weakens_the_promise_is_a_warning_by_name(
    kafka: Kafka, config: dict[str, str], words: str
) -> None:
    name = f"weak-{abs(hash(words))}"
    make_topic(kafka, name, config)
    health = health_of(f"{kafka.url}/{name}")
    assert not health.error
    assert any(words in warning for warning in health.warnings)


def test_a_danger_that_is_found_after_the_start_is_said_and_appends_are_refused(
    kafka: Kafka,
) -> None:
    async def run() -> None:
        log = log_at(f"{kafka.url}/late")
        kafka.kill()
        await log.open()
        try:
            assert "127.0.0.1" in log.health().error
            with pytest.raises(StoreUnavailableError):
                await log.identity()
            kafka.start()
            make_topic(kafka, "late", {"cleanup.policy": "compact"})

            async def said() -> bool:
                return "compact" in log.health().error

            await until("the danger is said", said)
            with pytest.raises(StoreUnavailableError, match="compact"):
                await log.append(record())
        finally:
            await log.close()

    make_topic(kafka, "before", {})
    asyncio.run(run())


def test_an_option_that_librdkafka_does_not_know_is_refused(kafka: Kafka) -> None:
    with pytest.raises(ConfigError, match=r"no\.such\.option"):
        health_of(f"{kafka.url}/options?no.such.option=1")


def test_without_rights_it_says_what_somebody_else_has_to_make(kafka: Kafka) -> None:
    with pytest.raises(ConfigError) as refused:
        health_of(f"{kafka.url_of(USER, PASSWORD)}/forbidden{PLAIN}")
    assert "forbidden" in str(refused.value)


def test_a_user_who_may_not_make_the_topic_is_told_how_to(kafka: Kafka) -> None:
    allow(kafka, ResourceType.TOPIC, "unmade", AclOperation.READ, AclOperation.WRITE)
    with pytest.raises(ConfigError, match=r"kafka-topics.sh --create --topic unmade"):
        health_of(f"{kafka.url_of(USER, PASSWORD)}/unmade{PLAIN}")


def test_a_user_with_the_least_rights_appends_reads_and_is_warned_about_the_rest(
    kafka: Kafka,
) -> None:
    make_topic(kafka, "least", {})
    allow(kafka, ResourceType.TOPIC, "least", AclOperation.READ, AclOperation.WRITE)
    allow(kafka, ResourceType.GROUP, "least", AclOperation.READ)

    async def run() -> LogHealth:
        log = log_at(f"{kafka.url_of(USER, PASSWORD)}/least{PLAIN}")
        async with opened(log):
            await append_all(log, [record(n % PARTITIONS, b"%d" % n) for n in range(40)])
            assert len(await read_all(log)) == 40

            async def given() -> bool:
                return log.assigned() is None

            assert await given()
            await log.commit(dict.fromkeys(range(PARTITIONS), 10))

            async def saved() -> bool:
                return await log.committed() == dict.fromkeys(range(PARTITIONS), 10)

            await until("the watermark is saved", saved)
            return log.health()

    health = asyncio.run(run())
    assert not health.error
    assert any("Delete" in warning for warning in health.warnings)
    assert any("DescribeConfigs" in warning for warning in health.warnings)


def test_a_user_who_may_not_write_is_refused_in_words(kafka: Kafka) -> None:
    make_topic(kafka, "readonly", {})
    allow(kafka, ResourceType.TOPIC, "readonly", AclOperation.READ)
    with pytest.raises(ConfigError, match="Write"):
        health_of(f"{kafka.url_of(USER, PASSWORD)}/readonly{PLAIN}")


def test_a_wrong_password_is_said_and_never_shown(kafka: Kafka) -> None:
    wrong = "wr0ng/passw0rd"
    with capture_logs() as lines:
        health = health_of(f"{kafka.url_of(USER, wrong)}/anything{PLAIN}")
    assert "uthentication" in health.error
    assert wrong not in f"{health} {lines}"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("three"), brokers=3) as server:
        yield server


def test_with_three_brokers_one_may_go_and_two_may_not(three: Kafka) -> None:
    async def run() -> None:
        log = log_at(f"{three.url}/replicated")
        async with opened(log):
            assert not log.health().warnings
            assert settings_of(three, "replicated")["min.insync.replicas"] == "2"
            await append_all(log, [record(p, b"all") for p in range(PARTITIONS)])
            three.kill(3)
            await appended(log, b"without one")
            three.kill(2)
            with pytest.raises(StoreUnavailableError):
                await log.append(record(0, b"alone"))
            with pytest.raises(StoreUnavailableError):
                await log.probe()
            assert log.health().error
            three.start()

            async def healthy() -> bool:
                return not log.health().error

            await until("health is green", healthy, 20)
            await appended(log, b"again")

            async def everything() -> list[bytes]:
                try:
                    return [entry.record.body for entry in await read_all(log)]
                except StoreUnavailableError:  # leaders are being replaced
                    return []

            bodies = await until("all can be read", everything, 20)
            for body in (b"all", b"without one", b"again"):
                assert bodies.count(body) >= PARTITIONS

    async def appended(log: KafkaLog, body: bytes) -> None:
        """Append to each partition, again while its leader is being replaced."""
        for partition in range(PARTITIONS):

            async def done(partition: int = partition) -> bool:
                try:
                    await log.append(record(partition, body))
                except StoreUnavailableError:
                    return False
                return True

            await until("an append is confirmed", done, 20)

    asyncio.run(run())
