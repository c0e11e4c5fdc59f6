"""The topic of a Kafka log as an administrator sees it: made, checked, measured, and cut.

Everything here blocks, for a few seconds at most, and belongs on a thread. What a topic has to be
like is decided in `rules`.
"""

import time
from collections.abc import Mapping

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it names what it exports
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    PartitionMetadata,
    ResourceType,
    TopicDescription,
    TopicMetadata,
)

from comporta.errors import ComportaError, ConfigError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.kafka.client import (
    ALL_BROKERS_DOWN,
    code_of,
    misconfigured,
    reason_of,
    told,
    unavailable,
)
from comporta.log.kafka.place import Place
from comporta.log.kafka.rules import Facts, Found, grows, made_with, verdict

ASK_S = 2.0
MAKE_S = 10.0
LOOK_S = 0.05
_FORBIDDEN = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.POLICY_VIOLATION,
})  # fmt: skip

_COORDINATOR_MOVES = frozenset({
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
})  # fmt: skip
"""Of a group, which its brokers are settling, as for a moment after a start."""
_LED_BY_ANOTHER = frozenset({
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
})  # fmt: skip


class Topic:
    """One topic.

    Args:
        place: where it is.
        partitions: how many it has to have.

    Raises:
        ConfigError: librdkafka does not take an option of the URL.
    """

    def __init__(self, place: Place, partitions: int) -> None:
        self._place, self._partitions = place, partitions
        try:
            self._admin = self._make_admin()
        except KafkaException as error:
            raise misconfigured(error) from None
        self._cause: KafkaError | None = None
        self._outsider: Consumer | None = None
        self._all = [TopicPartition(place.topic, number) for number in range(partitions)]

    def _make_admin(self) -> AdminClient:
        place = self._place
        return AdminClient(told(place, place.admin(), error_cb=self._said))

    def settle(self) -> Found:
        """Make it if it is not there, and check it.

        Raises:
            ConfigError: it cannot be trusted with events, or does not fit the settings.
            StoreUnavailableError: it cannot be told, or written, now.
        """
        self._admin.poll(0)  # what it has to say by now is about the past
        self._cause = None
        try:
            if (metadata := self._metadata()) is None:
                self._make()
                metadata = self._just_made()
            facts = self._facts()
        except KafkaException as error:
            raise self._failure(error) from None
        found = verdict(facts, self._partitions, self._place)
        self._check_writable(metadata, found)
        return found

    def check_writable(self, found: Found) -> None:
        """Find out whether every partition could take an event now, by who is there to take it.

        Raises:
            StoreUnavailableError: one could not.
        """
        try:
            metadata = self._metadata(1.0)
        except KafkaException as error:
            raise self._failure(error) from None
        self._check_writable(metadata, found)

    def ends(self) -> dict[int, tuple[int, int]]:
        """Partition → Kafka's offset of the first message that is kept, and of the next to come.

        Raises:
            StoreUnavailableError: it cannot be told now.
        """
        try:
            first = self._offsets(OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            end = self._offsets(OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except KafkaException as error:
            raise unavailable(self._place, error) from None
        return {partition: (first[partition], end[partition]) for partition in end}

    def saved(self) -> dict[int, int]:
        """Partition → what the group has committed, where it has.

        Raises:
            StoreUnavailableError: it cannot be told now.
        """
        ends_at = time.monotonic() + ASK_S
        while True:
            try:
                found = self._asker().committed(self._all, timeout=ASK_S)
            except KafkaException as error:
                if code_of(error) not in _COORDINATOR_MOVES or time.monotonic() > ends_at:
                    raise unavailable(self._place, error) from None
                time.sleep(LOOK_S)
            else:
                return {one.partition: one.offset for one in found if one.offset >= 0}

    def _asker(self) -> Consumer:
        """A consumer that is no member of the group and only asks about it.

        Not the client for administration: where a group's coordinator is away for longer than the
        question may take, that one ends the process (an assertion of librdkafka 2.16).
        """
        if self._outsider is None:
            self._outsider = Consumer(told(self._place, self._place.consumer()))
        self._outsider.poll(0)  # what it has to say would pile up
        return self._outsider

    def close(self) -> None:
        """Hang up."""
        if self._outsider is not None:
            self._outsider.close()

    def forget(self, before: Mapping[int, int]) -> None:
        """Delete what comes before these offsets of Kafka.

        Raises:
            ConfigError: we may not.
            StoreUnavailableError: it does not work now.
        """
        where = [TopicPartition(self._place.topic, p, offset) for p, offset in before.items()]
        try:
            for future in self._admin.delete_records(where, request_timeout=ASK_S).values():
                future.result()
        except KafkaException as error:
            if code_of(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise ConfigError(grows(self._place.topic)) from None
            raise unavailable(self._place, error) from None

    def _said(self, error: KafkaError) -> None:
        """Why there is no connection is told apart from what needs one; called in `poll`."""
        if error.code() != ALL_BROKERS_DOWN:
            self._cause = error

    def _failure(self, error: KafkaException) -> ComportaError:
        self._admin.poll(0)
        if code_of(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return ConfigError(
                _(
                    "Kafka does not let us see topic {topic}. Allow Read and Write on it, and Read"
                    " on the group {group}."
                ).format(topic=self._place.topic, group=self._place.group)
            )
        return unavailable(self._place, self._cause or error)

    def _metadata(self, timeout_s: float = ASK_S) -> TopicMetadata | None:
        """None: there is no such topic."""
        found = self._admin.list_topics(self._place.topic, timeout=timeout_s)
        topic: TopicMetadata = found.topics[self._place.topic]
        if topic.error is None:
            return topic
        if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise KafkaException(topic.error)

    def _make(self) -> None:
        brokers = len(self._admin.list_topics(timeout=ASK_S).brokers)
        replicas, config = made_with(brokers, self._place.record_bytes_max)
        new = NewTopic(self._place.topic, self._partitions, replicas, config=config)
        try:
            made = self._admin.create_topics([new], request_timeout=MAKE_S)
            made[self._place.topic].result()
        except KafkaException as error:
            if code_of(error) in _FORBIDDEN:
                raise ConfigError(self._make_it_yourself(error, replicas, config)) from None
            if code_of(error) != KafkaError.TOPIC_ALREADY_EXISTS:  # another worker was faster
                raise

    def _just_made(self) -> TopicMetadata | None:
        """Brokers hear of a new topic one after the other, and then begin to lead it."""
        ends_at = time.monotonic() + ASK_S
        while True:
            topic = self._metadata()
            if self._is_led(topic) or time.monotonic() > ends_at:
                return topic
            time.sleep(LOOK_S)

    def _is_led(self, topic: TopicMetadata | None) -> bool:
        if topic is None or any(one.leader < 0 for one in topic.partitions.values()):
            return False
        try:
            self._offsets(OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except KafkaException:
            return False
        return True

    def _make_it_yourself(
        self, error: KafkaException, replicas: int, config: Mapping[str, str]
    ) -> str:
        options = "".join(f" --config {name}={value}" for name, value in config.items())
        return _(
            "Kafka does not let us make the topic {topic} ({reason}). Make it yourself:"
            " kafka-topics.sh --create --topic {topic} --partitions {partitions}"
            " --replication-factor {replicas}{options}"
        ).format(
            topic=self._place.topic,
            reason=reason_of(error),
            partitions=self._partitions,
            replicas=replicas,
            options=options,
        )

    def _facts(self) -> Facts:
        about = self._admin.describe_topics(
            TopicCollection([self._place.topic]),
            include_authorized_operations=True,
            request_timeout=ASK_S,
        )
        topic: TopicDescription = about[self._place.topic].result()
        return Facts(
            topic_id=str(topic.topic_id),
            partitions=len(topic.partitions),
            replicas=min((len(one.replicas) for one in topic.partitions), default=0),
            config=self._config(),
            may=frozenset(one.name for one in topic.authorized_operations or ()),
        )

    def _config(self) -> dict[str, str] | None:
        """The topic's settings with all defaults; None if we may not know them."""
        resource = ConfigResource(ResourceType.TOPIC, self._place.topic)
        try:
            answer = self._admin.describe_configs([resource], request_timeout=ASK_S)
            entries = answer[resource].result()
        except KafkaException as error:
            if code_of(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return None
            raise
        return {name: entry.value for name, entry in entries.items()}

    def _offsets(self, which: OffsetSpec) -> dict[int, int]:
        try:
            return self._ask_offsets(which)
        except KafkaException as error:
            if code_of(error) not in _LED_BY_ANOTHER:
                raise
            # It remembers for minutes who led each partition; one that is made anew asks.
            self._admin = self._make_admin()
            return self._ask_offsets(which)

    def _ask_offsets(self, which: OffsetSpec) -> dict[int, int]:
        asked = self._admin.list_offsets(dict.fromkeys(self._all, which), request_timeout=ASK_S)
        return {place.partition: future.result().offset for place, future in asked.items()}

    def _check_writable(self, metadata: TopicMetadata | None, found: Found) -> None:
        partitions: list[PartitionMetadata] = list(metadata.partitions.values()) if metadata else []
        unfit = sorted(
            one.id for one in partitions if one.leader < 0 or len(one.isrs) < found.in_step_min
        )
        if unfit or not partitions:
            raise StoreUnavailableError(
                _(
                    "Partitions {partitions} of topic {topic} have no leader, or fewer replicas in"
                    " step than min.insync.replicas asks for. Bring back the brokers that are away."
                ).format(
                    partitions=", ".join(map(str, unfit)) or _("(all)"), topic=self._place.topic
                )
            )
