"""What is appended together goes into messages that hold each record once, and are no larger."""

from hypothesis import example, given
from hypothesis import strategies as st

from comporta.domain.event import Record
from comporta.log.rabbitmq.writer import MESSAGE_BYTES_MAX, messages_of
from comporta.testing.conformance.records import record

sizes = st.one_of(st.integers(0, 10), st.integers(0, 2 * MESSAGE_BYTES_MAX))
groups = st.lists(st.tuples(st.integers(0, 3), sizes), max_size=30)


def made(group: list[tuple[int, int]]) -> list[Record]:
    return [record(partition, bytes(size)) for partition, size in group]


@given(groups)
@example([(0, 0)])
def test_every_record_is_in_one_message_and_a_partitions_are_in_order(
    group: list[tuple[int, int]],
) -> None:
    records = made(group)
    messages = messages_of(records)
    for partition in range(4):
        mine = [index for index, one in enumerate(records) if one.partition == partition]
        theirs = [n for message in messages for n in message if records[n].partition == partition]
        assert theirs == mine
    assert sum(len(message) for message in messages) == len(records)


@given(groups)
@example([(0, MESSAGE_BYTES_MAX), (0, 1)])
def test_a_message_is_of_one_partition_and_only_one_record_alone_makes_it_large(
    group: list[tuple[int, int]],
) -> None:
    records = made(group)
    for message in messages_of(records):
        assert len({records[index].partition for index in message}) == 1
        size = sum(len(records[index].body) for index in message)
        assert size <= MESSAGE_BYTES_MAX or len(message) == 1
