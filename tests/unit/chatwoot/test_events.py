"""The types of Chatwoot's bodies take every body that is known, and show nobody's data."""

import json
from importlib import resources

import msgspec
import pytest

import comporta
from comporta import Contact, Conversation, Message, Typing, WebwidgetTriggered
from comporta.chatwoot.events import Shape
from comporta.handlers.decoding import MisfitError, decoder_of
from comporta.testing import sample

PAYLOADS = resources.files("comporta.testing") / "payloads"
TYPES: dict[str, type[Shape]] = {
    "conversation_typing": Typing,
    "conversation_": Conversation,
    "macro.": Conversation,
    "message_": Message,
    "contact_": Contact,
    "webwidget_": WebwidgetTriggered,
}
UNTYPED = {"account_created", "inbox_created", "inbox_updated"}


def samples() -> list[tuple[str, bytes]]:
    folders = (PAYLOADS, PAYLOADS / "other")
    files = [one for folder in folders for one in folder.iterdir() if one.name.endswith(".json")]
    bodies = [(one.name, one.read_bytes()) for one in files]
    return sorted((name, body) for name, body in bodies if b'"event":' in body and name[0] != "I")


def kind_of(body: bytes) -> type[Shape] | None:
    event = json.loads(body)["event"]
    return next((kind for start, kind in TYPES.items() if event.startswith(start)), None)


@pytest.mark.parametrize(("name", "body"), samples(), ids=lambda one: str(one)[:50])
def test_every_known_body_of_every_version_and_fork_has_a_type_that_takes_it(
    name: str, body: bytes
) -> None:
    kind = kind_of(body)
    if kind is None:
        assert json.loads(body)["event"] in UNTYPED
        return
    event = decoder_of(kind)(body)
    assert event.event == json.loads(body)["event"], name
    assert "@" not in repr(event)
    assert "Mariana" not in repr(event)


def test_a_message_is_read_as_it_was_written() -> None:
    body = sample("message_created.account.attachments")
    event = decoder_of(comporta.MessageCreated)(msgspec.json.encode(body))
    assert isinstance(event, comporta.MessageCreated)
    assert event.content is None
    assert event.conversation is not None
    assert event.conversation.id == body["conversation"]["id"]
    assert event.sender is not None
    assert event.sender.kind == "contact"
    assert [one.file_type for one in event.attachments] == ["image", "file"]


def test_what_changed_is_found_by_its_field() -> None:
    body = msgspec.json.encode(sample("contact_updated"))
    event = decoder_of(comporta.ContactUpdated)(body)
    assert event.changes["name"].previous_value == "winter-hill-238"
    created = decoder_of(comporta.ContactCreated)(msgspec.json.encode(sample("contact_created")))
    assert created.changes == {}


def test_a_number_that_a_fork_writes_as_a_text_is_a_number_all_the_same() -> None:
    assert decoder_of(Message)(b'{"id":"12"}').id == 12


@pytest.mark.parametrize("body", [b'{"id":[]}', b"{}", b"[]", b"{", b'{"id":1,"content":7}'])
def test_a_body_of_another_shape_is_a_misfit_and_says_where(body: bytes) -> None:
    with pytest.raises(MisfitError, match="does not fit Message"):
        decoder_of(Message)(body)


def test_a_dict_takes_whatever_ingest_takes() -> None:
    assert decoder_of(dict)(b'{"n":%b,"half":"\\ud800"}' % (b"9" * 400))["n"] == int("9" * 400)
    with pytest.raises(MisfitError, match="does not fit dict"):
        decoder_of(dict)(b"[" * 100_000)


def test_a_handler_that_wants_bytes_gets_the_body() -> None:
    assert decoder_of(bytes)(b"\xff{") == b"\xff{"


@pytest.mark.parametrize("annotation", [int, list[int], "MessageCreated", None, str | bytes])
def test_another_annotation_is_refused(annotation: object) -> None:
    with pytest.raises(TypeError, match="MessageCreated"):
        decoder_of(annotation)
