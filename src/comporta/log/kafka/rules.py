"""What a topic has to be so that what is acknowledged is kept: pure rules, for making and checking.

What is proven dangerous or contradicts the settings is refused, what only weakens the promise is a
warning that names the setting.
"""

from collections.abc import Iterator, Mapping

import msgspec

from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.log.kafka.place import Place

REPLICAS = 3
SEGMENT_BYTES = 128 * 1024 * 1024
"""What is read past is given back by whole segments only."""
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""How sixteen zero bytes are written: a topic of a cluster that does not give ids yet."""
_NEEDED = ("WRITE", "READ")


class Facts(msgspec.Struct, frozen=True):
    """What Kafka says about a topic."""

    topic_id: str
    partitions: int
    replicas: int
    """Of the partition that has the fewest."""
    config: dict[str, str] | None
    """Every setting in force; None: we may not know."""
    may: frozenset[str]
    """What we are allowed to do with it, in Kafka's words; empty: it does not say."""


class Found(msgspec.Struct, frozen=True):
    """A topic that will do."""

    identity: str
    in_step_min: int
    """How many replicas have to be in step for an append to be taken."""
    warnings: tuple[str, ...]


def made_with(brokers: int, record_bytes_max: int) -> tuple[int, dict[str, str]]:
    """How to make the topic: its replication factor and its settings.

    Args:
        brokers: how many there are.
        record_bytes_max: the largest message.
    """
    replicas = max(1, min(REPLICAS, brokers))
    return replicas, {
        "min.insync.replicas": str(max(1, replicas - 1)),
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "segment.bytes": str(SEGMENT_BYTES),
        "max.message.bytes": str(record_bytes_max),
        "unclean.leader.election.enable": "false",
    }


def grows(topic: str) -> str:
    """What follows if nothing of a topic may be deleted."""
    return _(
        "Kafka does not let us delete what has been read of topic {topic}, so it grows until its"
        " retention.ms has passed. Allow Delete on the topic."
    ).format(topic=topic)


def verdict(facts: Facts, partitions: int, place: Place) -> Found:
    """What is to be thought of a topic.

    Args:
        facts: what it is.
        partitions: how many it has to have.
        place: of the topic.

    Raises:
        ConfigError: it cannot be trusted with events, or does not fit the settings.
    """
    _refuse_count(facts, partitions, place.topic)
    _refuse_rights(facts, place.topic)
    config = facts.config or {}
    _refuse_config(config, place)
    known_id = facts.topic_id not in {"", _NO_ID}
    return Found(
        identity=f"kafka:{place.topic}:{facts.topic_id}" if known_id else f"kafka:{place.topic}",
        in_step_min=int(config.get("min.insync.replicas", "1")),
        warnings=tuple(_warnings(facts, place.topic)),
    )


def _refuse_count(facts: Facts, partitions: int, topic: str) -> None:
    if facts.partitions != partitions:
        raise ConfigError(
            _(
                "Topic {topic} has {found} partitions, the setting partitions says {wanted}."
                " Set partitions = {found}, or name a topic that is not there yet."
            ).format(topic=topic, found=facts.partitions, wanted=partitions)
        )


def _refuse_rights(facts: Facts, topic: str) -> None:
    missing = [name for name in _NEEDED if facts.may and name not in facts.may]
    if missing:
        raise ConfigError(
            _(
                "Kafka does not allow us {operations} on topic {topic}. Add that to its ACLs."
            ).format(operations=", ".join(name.capitalize() for name in missing), topic=topic)
        )


def _refuse_config(config: Mapping[str, str], place: Place) -> None:
    if "compact" in config.get("cleanup.policy", ""):
        raise ConfigError(
            _(
                "Topic {topic} has cleanup.policy={policy}, which throws events away."
                " Set cleanup.policy=delete."
            ).format(topic=place.topic, policy=config["cleanup.policy"])
        )
    bytes_max = int(config.get("max.message.bytes", place.record_bytes_max))
    if bytes_max < place.record_bytes_max:
        raise ConfigError(
            _(
                "Topic {topic} has max.message.bytes={found}, so it would refuse large events."
                " Set max.message.bytes={wanted}, or a smaller body_bytes_max."
            ).format(topic=place.topic, found=bytes_max, wanted=place.record_bytes_max)
        )


def _warnings(facts: Facts, topic: str) -> Iterator[str]:
    if facts.may and "DELETE" not in facts.may:
        yield grows(topic)
    if facts.replicas == 1:
        yield _(
            "Topic {topic} has replication.factor=1: if its broker loses its disk or its power,"
            " events that were acknowledged are lost. Use three brokers, and three replicas."
        ).format(topic=topic)
    if facts.config is None:
        yield _(
            "The settings of topic {topic} could not be checked. Allow DescribeConfigs on it."
        ).format(topic=topic)
        return
    yield from _warnings_of_config(facts, facts.config, topic)


def _warnings_of_config(facts: Facts, config: Mapping[str, str], topic: str) -> Iterator[str]:
    for name in ("retention.ms", "retention.bytes"):
        if int(config.get(name, "-1")) >= 0:
            yield _(
                "Topic {topic} has {name}={value}: events that wait for longer are lost."
                " Set {name}=-1; Comporta deletes what has been read itself."
            ).format(topic=topic, name=name, value=config[name])
    if facts.replicas > 1 and int(config.get("min.insync.replicas", "1")) < 2:  # noqa: PLR2004
        yield _(
            "Topic {topic} has min.insync.replicas=1: an event may be acknowledged while one broker"
            " alone has it. Set min.insync.replicas=2."
        ).format(topic=topic)
    if config.get("unclean.leader.election.enable") == "true":
        yield _(
            "Topic {topic} has unclean.leader.election.enable=true: a broker that missed events may"
            " take over and they are lost. Set it to false."
        ).format(topic=topic)
