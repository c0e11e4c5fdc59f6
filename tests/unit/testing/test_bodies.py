"""Bodies and conversations: what the emulator says has to look like Chatwoot's own words."""

from collections.abc import Iterator
from importlib import resources
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.fleet import SourceKind
from comporta.testing.bodies import iso, rails_json
from comporta.testing.conversations import Account, Body, Conversation
from comporta.testing.observed import look

PAYLOADS = resources.files("comporta.testing") / "payloads"
RAW = sorted(file.name for file in (PAYLOADS / "raw").iterdir())
NOW_S = 1_790_000_000.25


def told(kind: SourceKind, seed: int = 1, conversations: int = 8) -> Iterator[Body]:
    account = Account("loja-sp", kind, 1, "run/0", Random(seed))  # noqa: S311
    for _ in range(conversations):
        conversation = Conversation(account, NOW_S)
        for step in conversation.steps():
            yield conversation.render(step, NOW_S)


@pytest.mark.parametrize("name", RAW)
def test_json_is_written_byte_for_byte_as_chatwoot_does(name: str) -> None:
    sample = msgspec.json.decode((PAYLOADS / name.replace(".body", ".json")).read_bytes())
    assert rails_json(sample) == (PAYLOADS / "raw" / name).read_bytes()


@given(st.text())
def test_escaping_changes_the_bytes_but_never_the_meaning(text: str) -> None:
    written = rails_json(text)
    assert msgspec.json.decode(written) == text
    assert not any(sign in written for sign in (b"<", b">", b"&", "\u2028".encode()))


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    assert iso(1787580191.482) == b'"2026-08-24T14:03:11.482Z"'
    assert iso(1787580191.0) == b'"2026-08-24T14:03:11.000Z"'


@pytest.mark.parametrize("kind", list(SourceKind))
def test_every_body_is_read_back_with_its_marker_its_subject_and_its_account(
    kind: SourceKind,
) -> None:
    bodies = list(told(kind))
    assert len(bodies) > 50
    for body in bodies:
        seen = look(body.data)
        assert (seen.event_type, seen.subject) == (body.event_type, body.subject)
        assert (seen.marker.run, seen.marker.seq) == ("run/0", body.seq)
        assert seen.marker.at_ms == 1_790_000_000_250
        assert seen.account_id == 1


@pytest.mark.parametrize("kind", list(SourceKind))
def test_numbers_rise_by_one_in_each_conversation_and_each_contact(kind: SourceKind) -> None:
    last: dict[str, int] = {}
    for body in told(kind):
        assert body.seq == last.get(body.subject, 0) + 1
        last[body.subject] = body.seq
    assert len(last) >= 8


@pytest.mark.parametrize("kind", list(SourceKind))
def test_every_body_has_the_keys_of_the_sample_it_is_made_of(kind: SourceKind) -> None:
    index = msgspec.json.decode((PAYLOADS / "INDEX.json").read_bytes())
    shapes = {
        frozenset(msgspec.json.decode((PAYLOADS / entry["file"]).read_bytes())) for entry in index
    }
    for body in told(kind):
        assert frozenset(msgspec.json.decode(body.data)) in shapes


def test_nothing_of_the_sample_shop_is_left() -> None:
    text = b"".join(body.data for body in told(SourceKind.ACCOUNT)).decode()
    for name in ("Padaria Aurora", "chat.aurora.example", "@aurora.example", "Rê (Vendas)"):
        assert name not in text
    assert "\ue000" not in text
    assert "%(" not in text


def test_a_private_note_never_stands_among_the_conversations_messages() -> None:
    notes = 0
    for body in told(SourceKind.ACCOUNT, conversations=40):
        event = msgspec.json.decode(body.data)
        if event.get("private"):
            notes += 1
            assert event["content"] != event["conversation"]["messages"][0]["content"]
    assert notes


def test_all_the_event_types_of_a_day_come_up() -> None:
    types = {body.event_type for kind in SourceKind for body in told(kind)}
    assert types == {
        "contact_created",
        "contact_updated",
        "conversation_created",
        "conversation_resolved",
        "conversation_status_changed",
        "conversation_typing_off",
        "conversation_typing_on",
        "conversation_updated",
        "message_created",
        "message_updated",
    }


def test_the_same_seed_tells_the_same_stories() -> None:
    assert list(told(SourceKind.ACCOUNT, 3)) == list(told(SourceKind.ACCOUNT, 3))
    assert list(told(SourceKind.ACCOUNT, 3)) != list(told(SourceKind.ACCOUNT, 4))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"\xff", b'{"event": 5}', b'{"content_attributes":{"comporta":"mine"}}'],
)
def test_what_chatwoot_never_sends_is_looked_at_without_harm(body: bytes) -> None:
    assert look(body).marker.run == ""


def test_a_bots_own_comporta_key_is_not_taken_for_a_marker() -> None:
    sample = (PAYLOADS / "agent_bot.message_created.own_reply.json").read_bytes()
    seen = look(sample)
    assert seen.marker.run == ""
    assert seen.subject == "conversation:1042"
