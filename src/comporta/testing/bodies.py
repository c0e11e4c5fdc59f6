"""Webhook bodies, byte for byte as Chatwoot writes them, cheap to make by the thousand.

The sample payloads of this package become templates: what differs from one event to the next (ids,
names, texts, times) is a slot, the rest is rendered once. A body is then one formatting of bytes.
No randomness, no clock and no I/O other than reading the samples.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import msgspec

_OPEN, _CLOSE = "\ue000", "\ue001"  # private use: they cannot occur in the samples
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
_TEMPLATE_TEXTS = {"https://chat.aurora.example": "host"}

# What a part of a payload is (see `_kind`) → its keys → the slot that fills them.
_SLOTS: dict[str, dict[str, str]] = {
    "account": {"id": "account", "name": "account_name"},
    "inbox": {"id": "inbox", "name": "inbox_name"},
    "conversation": {
        "id": "conversation",
        "inbox_id": "inbox",
        "created_at": "opened_s",
        "waiting_since": "opened_s",
        "first_reply_created_at": "opened_iso",
        "agent_last_seen_at": "now_s",
        "last_activity_at": "now_s",
        "timestamp": "now_s",
        "updated_at": "now_float",
    },
    "message": {
        "id": "message",
        "content": "content",
        "source_id": "source",
        "created_at": "now_iso",
    },
    "newest": {
        "id": "newest",
        "source_id": "newest_source",
        "content": "newest_content",
        "processed_message_content": "newest_content",
        "account_id": "account",
        "inbox_id": "inbox",
        "conversation_id": "conversation",
        "created_at": "now_s",
        "updated_at": "now_iso",
    },
    "stub": {"last_activity_at": "now_s", "assignee_id": "agent"},
    "contact_inbox": {
        "id": "contact",
        "contact_id": "contact",
        "inbox_id": "inbox",
        "source_id": "contact_source",
        "created_at": "opened_iso",
        "updated_at": "opened_iso",
    },
    "contact": {
        "id": "contact",
        "name": "contact_name",
        "phone_number": "phone",
        "email": "contact_email",
    },
    "user": {
        "id": "agent",
        "name": "agent_name",
        "available_name": "agent_name",
        "email": "agent_email",
    },
    "change": {"previous_value": "opened_iso", "current_value": "now_iso"},
    "other": {},
}


class Template(msgspec.Struct, frozen=True):
    """An event type's body with slots, for bytes formatting."""

    event_type: str
    about_contact: bool
    """True: its subject is the contact, else the conversation."""
    form: bytes

    def render(self, values: Mapping[bytes, bytes]) -> bytes:
        """The body. Values are JSON already, strings with their quotes."""
        return self.form % values


def rails_json(value: Any) -> bytes:
    """`value` as ActiveSupport writes it: compact UTF-8; `<`, `>`, `&`, U+2028, U+2029 escaped."""
    text = msgspec.json.encode(value)
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def iso(at_s: float) -> bytes:
    """A JSON string with the time as Chatwoot writes it: UTC, milliseconds, `Z`."""
    text = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return f'"{text[:-6]}Z"'.encode()


@cache
def template(name: str) -> Template:
    """The template made of the sample `name` (without `.json`)."""
    file = resources.files("comporta.testing") / "payloads" / f"{name}.json"
    sample = msgspec.json.decode(file.read_bytes())
    event_type: str = sample["event"]
    about_contact = event_type.startswith("contact_")
    slotted = _slotted(sample, "")
    _marked(slotted, event_type)
    text = rails_json(slotted).replace(b"%", b"%%")
    for found, slot in _TEMPLATE_TEXTS.items():
        text = text.replace(found.encode(), b"https://%%(%s)b" % slot.encode())
    text = text.replace(f'"{_OPEN}'.encode(), b"%(").replace(f'{_CLOSE}"'.encode(), b")b")
    return Template(event_type, about_contact, text)


def _slotted(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return [_slotted(item, key) for item in node]
    if not isinstance(node, dict):
        return node
    slots = _SLOTS[_kind(node, key)]
    return {
        name: f"{_OPEN}{slots[name]}{_CLOSE}"
        if name in slots and value not in (None, 0, "") and not isinstance(value, (dict, list))
        else _slotted(value, name)
        for name, value in node.items()
    }


def _kind(node: dict[str, Any], key: str) -> str:  # noqa: PLR0911  (a table of shapes, in order)
    if key in {"account", "inbox", "contact_inbox"}:
        return key
    if "can_reply" in node:
        return "conversation"
    if "content" in node:
        return "newest" if "conversation_id" in node else "message"
    if "assignee_id" in node and "unread_count" in node:
        return "stub"
    if "identifier" in node:
        return "contact"
    if node.get("type") == "user":
        return "user"
    if key == "updated_at":
        return "change"
    return "other"


def _marked(sample: dict[str, Any], event_type: str) -> None:
    """Make room for the marker, where the installations' own clients could have put it as well."""
    if event_type.startswith("message_"):
        holder, name = sample, "content_attributes"
    else:
        holder, name = sample.get("conversation", sample), "custom_attributes"
    holder[name] = holder[name] | {"comporta": f"{_OPEN}marker{_CLOSE}"}
