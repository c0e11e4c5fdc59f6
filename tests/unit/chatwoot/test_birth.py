"""When a message or conversation was made, as Chatwoot's bodies say it."""

import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.chatwoot.birth import born_at_ms

PAYLOADS = resources.files("comporta.testing") / "payloads"


@pytest.mark.parametrize(
    ("name", "event_type", "at_ms"),
    [
        ("agent_bot.message_created", "message_created", 1_787_580_191_482),
        ("api_inbox.conversation_created", "conversation_created", 1_787_580_291_000),
        ("other/message_created.v4_2_0", "message_created", 1_787_580_191_482),
        ("message_updated", "message_updated", None),
        ("contact_created", "contact_created", None),
    ],
)
def test_real_bodies_say_it(name: str, event_type: str, at_ms: int | None) -> None:
    body = (PAYLOADS / f"{name}.json").read_bytes()
    assert born_at_ms(event_type, body) == at_ms


@given(st.one_of(st.binary(), st.recursive(st.none() | st.text() | st.floats(), st.lists)))
def test_an_odd_body_costs_the_measure_and_nothing_else(given: object) -> None:
    body = given if isinstance(given, bytes) else json.dumps({"created_at": given}).encode()
    assert isinstance(born_at_ms("message_created", body), int | None)
