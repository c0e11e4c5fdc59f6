"""Event classes: Chatwoot-aware defaults, and a destination's own choices before them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.classes import EventClass, class_of


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("message_created", EventClass.ORDERED),
        ("message_updated", EventClass.ORDERED),
        ("conversation_created", EventClass.ORDERED),
        ("conversation_status_changed", EventClass.ORDERED),
        ("conversation_resolved", EventClass.ORDERED),
        ("conversation_updated", EventClass.CONFLATED),
        ("contact_updated", EventClass.CONFLATED),
        ("contact_created", EventClass.ORDERED),
        ("conversation_typing_on", EventClass.EPHEMERAL),
        ("conversation_typing_off", EventClass.EPHEMERAL),
        ("macro.executed", EventClass.ORDERED),
        ("", EventClass.ORDERED),
    ],
)
def test_defaults(event_type: str, expected: EventClass) -> None:
    assert class_of(event_type, {}) is expected


@given(st.text(max_size=30))
def test_what_is_not_known_is_kept_in_order(event_type: str) -> None:
    if event_type not in {"conversation_updated", "contact_updated"}:
        found = class_of(event_type, {})
        assert found is EventClass.ORDERED or event_type.startswith("conversation_typing_")


def test_a_destinations_own_choice_wins_and_the_first_of_them() -> None:
    own = {"conversation_*": EventClass.ORDERED, "conversation_updated": EventClass.EPHEMERAL}
    assert class_of("conversation_updated", own) is EventClass.ORDERED
    assert class_of("conversation_typing_on", own) is EventClass.ORDERED
    assert class_of("contact_updated", own) is EventClass.CONFLATED
