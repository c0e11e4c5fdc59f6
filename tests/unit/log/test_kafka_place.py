"""What the URL of a Kafka log says, and what may not be said in it."""

import pytest
from confluent_kafka import Consumer, Producer

from comporta.errors import ConfigError
from comporta.log.kafka.place import RECORD_EXTRA_BYTES, Place, place_of

BODY_BYTES_MAX = 20 << 20


def place(url: str) -> Place:
    return place_of(url, BODY_BYTES_MAX)


def test_hosts_topic_and_options_are_taken_from_the_url() -> None:
    found = place("kafka://one:9092,two:9093/events?ssl.ca.location=/etc/ca.pem&group.id=gate")
    assert (found.servers, found.topic, found.group) == ("one:9092,two:9093", "events", "gate")
    for conf in (found.producer(), found.consumer(), found.admin()):
        assert conf["bootstrap.servers"] == "one:9092,two:9093"
        assert conf["ssl.ca.location"] == "/etc/ca.pem"


def test_the_group_has_the_name_of_the_topic_unless_one_is_given() -> None:
    assert place("kafka://host/events").group == "events"


def test_a_login_is_sent_encrypted_unless_the_url_says_otherwise() -> None:
    conf = place("kafka://us%40er:p%2Fa%3Ass@host/events").admin()
    assert (conf["sasl.username"], conf["sasl.password"]) == ("us@er", "p/a:ss")
    assert (conf["security.protocol"], conf["sasl.mechanism"]) == ("sasl_ssl", "PLAIN")
    url = "kafka://user:pass@host/events?security.protocol=sasl_plaintext"
    assert place(url).admin()["security.protocol"] == "sasl_plaintext"


@pytest.mark.parametrize("path", ["", "/", "/a/b", "/sp%20ace", "/..", "/" + "x" * 250])
def test_a_url_without_a_topic_that_kafka_could_have_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="topic"):
        place(f"kafka://host{path}")


@pytest.mark.parametrize(
    "option",
    [
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "enable.auto.commit",
        "auto.offset.reset",
        "message.timeout.ms",
        "partition.assignment.strategy",
        "group.instance.id",
        "transactional.id",
        "bootstrap.servers",
        "sasl.password",
    ],
)
def test_an_option_that_promises_depend_on_is_refused_by_name(option: str) -> None:
    with pytest.raises(ConfigError, match=option.replace(".", r"\.")) as refused:
        place(f"kafka://host/events?{option}=hunter2")
    assert "hunter2" not in str(refused.value)


def test_librdkafka_takes_what_it_is_told_for_the_smallest_and_the_largest_bodies() -> None:
    for body_bytes_max in (1024, 256 << 20):
        found = place_of("kafka://127.0.0.1:1/events", body_bytes_max)
        assert found.producer()["message.max.bytes"] == body_bytes_max + RECORD_EXTRA_BYTES
        Producer({**found.producer(), "log_level": 0})
        Consumer({**found.consumer(), "log_level": 0}).close()
