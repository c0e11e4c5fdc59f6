"""What a topic has to be, decided without a broker."""

import msgspec
import pytest

from comporta.errors import ConfigError
from comporta.log.kafka.place import place_of
from comporta.log.kafka.rules import Facts, made_with, verdict

PLACE = place_of("kafka://host/events", 1 << 20)
ALL = frozenset({"READ", "WRITE", "DELETE", "DESCRIBE"})
GOOD = Facts(
    topic_id="hbT5tQWcThKFm7lcLuUYQw",
    partitions=4,
    replicas=3,
    config=made_with(3, PLACE.record_bytes_max)[1],
    may=ALL,
)


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_step"), [(0, 1, 1), (1, 1, 1), (2, 2, 1), (3, 3, 2), (9, 3, 2)]
)
def test_a_topic_is_made_with_as_many_replicas_as_there_are_brokers_up_to_three(
    brokers: int, replicas: int, in_step: int
) -> None:
    made, config = made_with(brokers, 1_000)
    assert made == replicas
    assert config["min.insync.replicas"] == str(in_step)


def test_what_we_make_with_three_brokers_is_found_without_fault() -> None:
    found = verdict(GOOD, 4, PLACE)
    assert found.warnings == ()
    assert found.in_step_min == 2
    assert found.identity == "kafka:events:hbT5tQWcThKFm7lcLuUYQw"


@pytest.mark.parametrize("topic_id", ["", "AAAAAAAAAAAAAAAAAAAAAA"])
def test_a_cluster_that_gives_no_ids_has_the_topic_by_its_name(topic_id: str) -> None:
    found = verdict(msgspec.structs.replace(GOOD, topic_id=topic_id), 4, PLACE)
    assert found.identity == "kafka:events"


def test_replicas_of_which_one_alone_confirms_are_warned_about() -> None:
    config = {**(GOOD.config or {}), "min.insync.replicas": "1"}
    (warning,) = verdict(msgspec.structs.replace(GOOD, config=config), 4, PLACE).warnings
    assert "min.insync.replicas=1" in warning


@pytest.mark.parametrize(("spare_bytes", "fits"), [(-1, False), (0, True)])
def test_the_largest_message_has_to_fit_to_the_byte(spare_bytes: int, *, fits: bool) -> None:
    size = PLACE.record_bytes_max + spare_bytes
    config = {**(GOOD.config or {}), "max.message.bytes": str(size)}
    facts = msgspec.structs.replace(GOOD, config=config)
    if fits:
        assert verdict(facts, 4, PLACE).warnings == ()
        return
    with pytest.raises(ConfigError, match=f"max.message.bytes={size}"):
        verdict(facts, 4, PLACE)


def test_brokers_that_do_not_say_what_we_may_are_taken_at_their_word() -> None:
    assert verdict(msgspec.structs.replace(GOOD, may=frozenset()), 4, PLACE).warnings == ()
