"""Rows of the log: what was packed comes out again, and a newer version's rows are refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.event import Record
from comporta.errors import SchemaTooNewError
from comporta.log.frames import VERSION, pack, unpack

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
records = st.builds(
    Record,
    partition=st.integers(0, 61),
    accepted_at_ms=st.integers(0, 2**53),
    instance_id=texts,
    source_id=texts,
    event_type=texts,
    account_id=st.none() | st.integers(0, 2**63 - 1),
    subject=texts,
    verified=st.booleans(),
    headers=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    body=st.binary(max_size=64),
)


@given(st.lists(records, max_size=20), st.sets(st.integers(0, 61)))
def test_the_wanted_partitions_come_out_as_they_went_in_with_their_places(
    packed: list[Record], wanted: set[int]
) -> None:
    expected = [(index, one) for index, one in enumerate(packed) if one.partition in wanted]
    assert list(unpack(pack(packed), wanted)) == expected


@pytest.mark.parametrize(
    "row",
    [
        (VERSION + 1, b"\0", [b"what?"]),
        (VERSION + 1, {"shape": "another"}, [], "and more"),
        (VERSION + 7,),
    ],
)
def test_a_row_of_a_newer_version_is_refused_in_words_whatever_its_shape(row: object) -> None:
    with pytest.raises(SchemaTooNewError, match="newer Comporta"):
        list(unpack(msgspec.msgpack.encode(row), {0}))


@pytest.mark.parametrize("row", [b"", b"\xc1", b"garbage", msgspec.msgpack.encode((1, b"\0"))])
def test_a_damaged_row_is_not_taken_for_a_newer_one(row: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        list(unpack(row, {0}))


def test_a_record_with_a_field_that_is_not_known_yet_is_read_while_versions_run_together() -> None:
    one = Record(0, 1, "ins", "src", "message_created", None, "", True, (), b"{}")
    later = [*msgspec.structs.astuple(one), "a field of tomorrow"]
    row = msgspec.msgpack.encode((VERSION, b"\0", [later]))
    assert list(unpack(row, {0})) == [(0, one)]
