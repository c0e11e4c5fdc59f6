"""Rows of the log: what was packed comes out again, and a newer version's rows are refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.event import Record
from comporta.errors import SchemaTooNewError
from comporta.log.frames import NEWEST, VERSION, pack, unpack

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
    uid=st.just(b"") | st.binary(min_size=16, max_size=16),
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
        (NEWEST + 1, b"\0", [b"what?"]),
        (NEWEST + 1, {"shape": "another"}, [], "and more"),
        (NEWEST + 7,),
    ],
)
def test_a_row_of_a_newer_version_is_refused_in_words_whatever_its_shape(row: object) -> None:
    with pytest.raises(SchemaTooNewError, match="newer Comporta"):
        list(unpack(msgspec.msgpack.encode(row), {0}))


@pytest.mark.parametrize("row", [b"", b"\xc1", b"garbage", msgspec.msgpack.encode((1, b"\0"))])
def test_a_damaged_row_is_not_taken_for_a_newer_one(row: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        list(unpack(row, {0}))


@pytest.mark.parametrize("version", [VERSION, NEWEST])
def test_a_reader_copes_with_the_next_version_and_leaves_out_what_it_does_not_know(
    version: int,
) -> None:
    one = Record(0, 1, "ins", "src", "message_created", None, "", True, (), b"{}", b"u" * 16)
    later = [*msgspec.structs.astuple(one), "a field of tomorrow", {"and": "another"}]
    row = msgspec.msgpack.encode((version, b"\0", [later], "what comes with frames then"))
    assert list(unpack(row, {0})) == [(0, one)]


def test_a_reader_copes_with_records_of_the_version_before() -> None:
    """Which had no id of their own."""
    one = Record(0, 1, "ins", "src", "message_created", None, "", True, (), b"{}")
    row = msgspec.msgpack.encode((1, b"\0", [msgspec.structs.astuple(one)[:-1]]))
    assert list(unpack(row, {0})) == [(0, one)]
