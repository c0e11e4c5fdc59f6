"""Which events count as the same one, sent twice."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.dedupe import TYPING_WINDOW_S, keys_of

TYPING = ["conversation_typing_on", "conversation_typing_off"]
texts = st.text(max_size=8)
events = st.tuples(texts, texts, texts, st.binary(max_size=8))


@given(events, events)
def test_two_events_share_a_key_only_if_they_share_what_it_stands_for(
    one: tuple[str, str, str, bytes], other: tuple[str, str, str, bytes]
) -> None:
    left, right = keys_of(*one, 60.0), keys_of(*other, 60.0)
    same_content = (one[0], one[1], one[3]) == (other[0], other[1], other[3])
    same_delivery = bool(one[2]) and (one[0], one[2]) == (other[0], other[2])
    shared = {key.key for key in left} & {key.key for key in right}
    assert len(shared) == same_content + same_delivery


@given(events)
def test_an_event_without_a_delivery_id_is_known_by_its_content_only(
    event: tuple[str, str, str, bytes],
) -> None:
    source, event_type, delivery, body = event
    keys = keys_of(source, event_type, delivery, body, 60.0)
    assert len(keys) == 1 + bool(delivery)
    assert len({key.key for key in keys}) == len(keys)


@given(
    st.sampled_from(["conversation_typing_on", "conversation_typing_off"]), st.floats(0.001, 1e6)
)
def test_typing_repeats_after_a_short_window_but_its_delivery_id_does_not(
    event_type: str, window_s: float
) -> None:
    by_delivery, by_content = keys_of("src", event_type, "id", b"{}", window_s)
    assert by_delivery.window_s == window_s
    assert by_content.window_s == min(window_s, TYPING_WINDOW_S)


@given(events)
def test_without_a_window_nothing_is_a_repeat(event: tuple[str, str, str, bytes]) -> None:
    assert keys_of(*event, 0.0) == ()


def test_the_keys_of_events_already_seen_stay_the_same_over_versions() -> None:
    made = [key.key.hex() for key in keys_of("src_1", "message_created", "d-1", b"{}", 60.0)]
    assert made == ["00f3ac2e33f9857c7b9a86238e799581", "e5333b8d4f9b61e4f203afb83b502cb9"]
