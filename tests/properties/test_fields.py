"""What routes see of a body: of samples what a plain reading finds, of odd ones what fits."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comporta.testing
from comporta.chatwoot.fields import fields_of
from comporta.domain.event import CONTENT_CHARS_MAX, Fields

PAYLOADS = Path(comporta.testing.__file__).parent / "payloads"
SAMPLES = [
    path
    for path in sorted([*PAYLOADS.rglob("*.json"), *PAYLOADS.rglob("*.body")])
    if path.name not in {"INDEX.json", "signature_vectors.json"}
]
KEYS = [
    *("event", "labels", "custom_attributes", "meta", "sender", "contact", "conversation"),
    *("content", "status", "type", "plano"),
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "conversation_updated", "contact_updated", "vip"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)


def seen(value: dict[str, Any]) -> Fields:
    return fields_of(json.dumps(value).encode())


def plainly(value: dict[str, Any]) -> dict[str, Any]:
    """The fields that one level of Chatwoot's shapes says outright."""
    event = value["event"]
    talk = value.get("conversation") or (
        value if event.startswith(("conversation_", "automation", "macro.")) else {}
    )
    contact = (
        value
        if event.startswith("contact_")
        else talk.get("meta", {}).get("sender") or value.get("contact") or {}
    )
    attributes = {**(contact.get("custom_attributes") or {}), **talk.get("custom_attributes", {})}
    return {
        "content": value.get("content"),
        "labels": tuple(talk["labels"]) if "labels" in talk else None,
        "status": talk.get("status"),
        "custom_attributes": attributes or None,
        "message_type": value.get("message_type"),
        "content_type": value.get("content_type"),
        "private": value.get("private"),
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_of_every_sample_routes_see_what_a_plain_reading_finds(sample: Path) -> None:
    body = sample.read_bytes()
    found = fields_of(body)
    for name, value in plainly(json.loads(body)).items():
        assert (getattr(found, name) or None) == (value or None), name


def test_the_samples_have_labels_texts_and_attributes_at_all() -> None:
    every = [fields_of(sample.read_bytes()) for sample in SAMPLES]
    assert sum(bool(one.labels) for one in every) > 10
    assert sum(bool(one.content) for one in every) > 10
    assert sum(bool(one.custom_attributes) for one in every) > 10
    assert {type(v) for one in every for v in (one.custom_attributes or {}).values()} >= {str}


@given(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=8))
def test_of_a_body_of_any_shape_what_fits_is_seen_and_can_be_stored(value: dict[str, Any]) -> None:
    found = seen(value)
    assert found.labels is None or all(type(label) is str for label in found.labels)
    for text in (*(found.labels or ()), found.content or "", found.status or ""):
        text.encode()
    for attribute in (found.custom_attributes or {}).values():
        assert type(attribute) in {str, int, float, bool}
        str(attribute).encode()


def talk(**changes: Any) -> dict[str, Any]:
    return {
        "event": "conversation_updated",
        "id": 7,
        "inbox_id": 12,
        "status": "open",
        "labels": ["vip"],
        "custom_attributes": {"plano": "gold"},
        "meta": {"sender": {"custom_attributes": {"plano": "silver", "bairro": "Sé"}}},
    } | changes


def test_the_conversations_attribute_goes_before_the_contacts() -> None:
    assert seen(talk()).custom_attributes == {"plano": "gold", "bairro": "Sé"}
    assert seen(talk(custom_attributes={"plano": None})).custom_attributes == {
        "plano": "silver",
        "bairro": "Sé",
    }


def test_the_contacts_attributes_are_found_wherever_it_stands() -> None:
    person = {"id": 3, "custom_attributes": {"plano": "gold"}}
    for value in (
        {"event": "contact_updated", **person},
        {"event": "message_created", "sender": person},
        {"event": "message_created", "conversation": {"meta": {"sender": person}}},
        {"event": "webwidget_triggered", "contact": person},
    ):
        assert seen(value).custom_attributes == {"plano": "gold"}, value
    user = {"event": "message_created", "sender": {"type": "user", **person}}
    assert seen(user).custom_attributes is None


@pytest.mark.parametrize("labels", [None, "vip", {"vip": 1}, 7, True])
def test_labels_that_are_no_list_are_none(labels: object) -> None:
    found = seen(talk(labels=labels))
    assert (found.labels, found.status, found.inbox_id) == (None, "open", 12)


def test_of_odd_labels_those_that_are_texts_count() -> None:
    assert seen(talk(labels=["vip", None, 7, ["x"], "ouro"])).labels == ("vip", "ouro")


@pytest.mark.parametrize("attributes", [None, ["plano"], "plano", 7])
def test_attributes_that_are_no_object_are_passed_over(attributes: object) -> None:
    found = seen(talk(custom_attributes=attributes, meta={"sender": None}))
    assert (found.custom_attributes, found.status, found.labels) == (None, "open", ("vip",))


def test_of_odd_attributes_the_plain_ones_count() -> None:
    odd = {"a": [1], "b": {"c": 1}, "d": None, "e": 0, "f": False, "g": "", "h": 1.5}
    found = seen(talk(custom_attributes=odd, meta=None)).custom_attributes
    assert found == {"e": 0, "f": False, "g": "", "h": 1.5}


def test_of_a_text_as_much_is_seen_as_chatwoot_allows() -> None:
    for chars in (CONTENT_CHARS_MAX - 1, CONTENT_CHARS_MAX, CONTENT_CHARS_MAX + 1, 1_000_000):
        found = seen({"event": "message_created", "content": "é" * chars})
        assert found.content == "é" * min(chars, CONTENT_CHARS_MAX)


def test_half_of_a_surrogate_pair_becomes_a_question_mark() -> None:
    body = (
        b'{"event":"message_created","content":"oi \\ud83d","conversation":{"labels":["\\ud83d"]}}'
    )
    found = fields_of(body)
    assert (found.content, found.labels) == ("oi ?", ("?",))


def test_a_text_that_is_none_hides_nothing_else() -> None:
    for content in (7, ["oi"], {"text": "oi"}, False, None):
        found = seen({"event": "message_created", "content": content, "message_type": "incoming"})
        assert (found.content, found.message_type) == (None, "incoming")
