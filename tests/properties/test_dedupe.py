"""Which events count as the same one, sent twice."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.dedupe import keys_of

texts = st.text(max_size=8)
events = st.tuples(texts, texts, texts, st.binary(max_size=8))


@given(events, events)
def test_two_events_share_a_key_only_if_they_share_what_it_stands_for(
    one: tuple[str, str, str, bytes], other: tuple[str, str, str, bytes]
) -> None:
    left, right = keys_of(*one), keys_of(*other)
    same_content = (one[0], one[1], one[3]) == (other[0], other[1], other[3])
    same_delivery = bool(one[2]) and (one[0], one[2]) == (other[0], other[2])
    shared = set(left) & set(right)
    assert len(shared) == same_content + same_delivery


@given(events)
def test_an_event_without_a_delivery_id_is_known_by_its_content_only(
    event: tuple[str, str, str, bytes],
) -> None:
    source, event_type, delivery, body = event
    keys = keys_of(source, event_type, delivery, body)
    assert len(keys) == 1 + bool(delivery)
    assert len(set(keys)) == len(keys)


@given(events, st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_record_with_an_id_of_its_own_has_one_more_key_that_only_its_copies_share(
    one: tuple[str, str, str, bytes], uid: bytes, other: bytes
) -> None:
    keys = keys_of(*one, uid)
    assert keys[:-1] == keys_of(*one)
    assert keys == keys_of(*one, uid)
    assert (keys_of(*one, other)[-1] == keys[-1]) == (uid == other)
