"""The glance into a body: whatever arrives, it answers or says that it is no object."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import comporta.testing
from comporta.chatwoot.fields import fields_of
from comporta.chatwoot.peek import NotAnObjectError, Peek, peek
from comporta.domain.event import Fields

PAYLOADS = Path(comporta.testing.__file__).parent / "payloads"
SAMPLES = sorted(PAYLOADS.glob("*_*.json")) + sorted(PAYLOADS.glob("raw/*.body"))
KEYS = [
    *("event", "id", "account", "account_id", "conversation", "contact", "inbox", "inbox_id"),
    *("status", "channel", "messages", "message_type", "content_type", "private", "sender", "type"),
]
ID_MAX = 2**63 - 1
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**70)
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "conversation_created", "contact_created", "é" * 300])
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)
json_objects = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), json_values, max_size=8)


def assert_storable(found: Peek, seen: Fields) -> None:
    """What the stores can hold: 63 bits, and text that UTF-8 can say, both bounded."""
    assert found.account_id is None or 0 <= found.account_id <= ID_MAX
    assert len(found.event_type) <= 128
    assert len(found.subject) <= 64
    msgspec.msgpack.encode((found.event_type, found.account_id, found.subject))
    for value in (seen.account_id, seen.inbox_id, seen.conversation_id):
        assert value is None or 0 <= value <= ID_MAX


@given(st.binary() | st.text().map(str.encode))
def test_bytes_of_any_kind_are_read_or_said_to_be_no_object(body: bytes) -> None:
    try:
        found = peek(body)
    except NotAnObjectError:
        with pytest.raises(NotAnObjectError):
            fields_of(body)
    else:
        assert_storable(found, fields_of(body))


@given(json_objects)
def test_every_object_is_taken_whatever_is_inside(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    assert_storable(peek(body), fields_of(body))


@given(json_values.filter(lambda value: not isinstance(value, dict)))
def test_json_that_is_no_object_is_refused_as_such(value: Any) -> None:
    with pytest.raises(NotAnObjectError, match="not an object"):
        peek(json.dumps(value).encode())


@pytest.mark.parametrize(
    "body", [b"", b"{", b"event=x", b'{"event":"\xff"}', b'{"a":' * 100_000], ids=repr
)
def test_what_is_not_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(NotAnObjectError, match="not valid JSON"):
        peek(body)


@given(json_objects, st.integers(0, ID_MAX), st.integers(0, ID_MAX))
def test_an_odd_neighbour_never_hides_the_conversation_and_the_account(
    odd: dict[str, Any], conversation_id: int, account_id: int
) -> None:
    inner = {key: value for key, value in odd.items() if key != "id"}
    value = {**odd, "event": "message_created"}
    value["account"] = {**inner, "id": account_id}
    value["conversation"] = {**inner, "id": conversation_id}
    found = peek(json.dumps(value).encode())
    assert found == Peek("message_created", account_id, f"conversation:{conversation_id}")


def test_an_account_that_no_store_can_hold_is_passed_over() -> None:
    assert peek(b'{"account":{"id":99999999999999999999}}').account_id is None
    assert peek(b'{"account":{"id":18446744073709551615}}').account_id is None


def test_a_number_with_thousands_of_digits_is_no_reason_to_refuse() -> None:
    body = b'{"event":"message_created","id":"x","sum":%b}' % (b"9" * 9_000)
    assert peek(body).event_type == "message_created"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_sample_has_its_type_and_says_what_it_is_about(sample: Path) -> None:
    body = sample.read_bytes()
    if sample.name == "signature_vectors.json":
        return
    value = json.loads(body)
    found = peek(body)
    assert found.event_type == value["event"]
    if "conversation" in value:
        assert found.subject == f"conversation:{value['conversation']['id']}"
    elif found.event_type.startswith(("conversation_", "contact_", "inbox_")):
        kind = found.event_type.split("_")[0]
        assert found.subject == (f"{kind}:{value['id']}" if "id" in value else "")
    seen = fields_of(body)
    if "message_type" in value:
        assert seen.message_type == value["message_type"]
        assert seen.private == value.get("private")
