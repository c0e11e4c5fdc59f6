"""What an event says, so that the same said twice is known: the part of a body that counts.

Everything counts that is not known to move by itself, so a key of a newer Chatwoot or a fork makes
two events differ. Where nothing tells a repeat from the same thing happening again, there is no
meaning, and the event is delivered. Why which part counts: docs/adr/0011-repeats-by-meaning.md.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from comporta.chatwoot.peek import Id

Parts = dict[str, msgspec.Raw]
"""A body's keys with their values as they were sent."""
Counted = dict[str, Any] | None


class _Who(msgspec.Struct, gc=False):
    """A person, a bot or a team: who, not how they are called or whether they are online."""

    id: Any = None
    type: Any = None


class _Made(msgspec.Struct, gc=False):
    """A message or an attachment that stands in a list."""

    id: Id
    status: Any = None
    updated_at: Any = None


class _Talk(msgspec.Struct, gc=False):
    messages: list[_Made] = []


_parts = msgspec.json.Decoder(Parts).decode
_any = msgspec.json.Decoder().decode
_id = msgspec.json.Decoder(Id).decode
_who = msgspec.json.Decoder(_Who | None).decode
_made = msgspec.json.Decoder(list[_Made] | None).decode
_talk = msgspec.json.Decoder(_Talk | None).decode

_canonical = msgspec.json.Encoder(order="deterministic").encode
_NOTHING = msgspec.Raw(b"null")
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError)

# An act of somebody, which has no number and no instant: twice the same is two acts.
_ACTS = ("conversation_typing_", "automation_event", "macro.")
# Beside a message, and changed by other things than it.
_AROUND_MESSAGE = frozenset({"conversation", "account", "inbox", "sender"})
# The channel's number comes later than the message, and `message_updated` tells of it.
_NOT_YET_MADE = _AROUND_MESSAGE | {"source_id", "attachments"}
# Moves with every message, glance or hour. `inbox_id` says which account's conversation it is.
_AROUND_CONVERSATION = frozenset(
    {
        "account",
        "agent_last_seen_at",
        "can_reply",
        "contact_inbox",
        "contact_last_seen_at",
        "last_activity_at",
        "messages",
        "meta",
        "timestamp",
        "unread_count",
    }
)
_UPDATED_AT = frozenset({"updated_at"})
_WHO = frozenset({"sender", "assignee", "team"})


def meaning_of(event_type: str, body: bytes) -> bytes | None:
    """What two events of a source have in common if, and only if, one repeats the other.

    It never raises: of an unknown event type or an odd shape, the meaning is the body itself.
    Shapes: Chatwoot's `app/models/message.rb`, `app/models/contact.rb`,
    `app/presenters/conversations/event_data_presenter.rb` and `app/listeners/webhook_listener.rb`.

    Returns:
        Bytes to compare; or None if the body cannot tell a repeat from a second event.
    """
    if event_type.startswith(_ACTS):
        return None
    read = _READERS.get(event_type)
    if read is None:
        return body
    try:
        counted = read(_parts(body))
        # A list, which no accepted body is: it can never be mistaken for one.
        return None if counted is None else _canonical([counted])
    except _UNREADABLE:
        return body


def _message_created(parts: Parts) -> Counted:
    """A message is made once, so whatever is the message's own says whether it is the same."""
    counted = _message(parts, _NOT_YET_MADE)
    _need(parts, "created_at")
    # Of a file only which one: its measures and its transcript come later.
    counted["attachments"] = [one.id for one in _made(parts.get("attachments", _NOTHING)) or ()]
    return counted


def _message_updated(parts: Parts) -> Counted:
    """The body does not say what changed, nor when; only the newest message is shown with both.

    Of an older message two receipts look alike, though one was "delivered" and one is "read".
    """
    counted = _message(parts, _AROUND_MESSAGE)
    talk = _talk(parts.get("conversation", _NOTHING))
    newest = talk.messages[0] if talk and talk.messages else None
    if newest and newest.id == counted["id"] and newest.updated_at:
        counted["conversation"] = (newest.status, newest.updated_at)
        return counted
    return counted if _has_instant(counted) else None


def _message(parts: Parts, around: AbstractSet[str]) -> dict[str, Any]:
    counted = _own(parts, around)
    if "sender" in parts:
        counted["sender"] = _who(parts["sender"])
    return counted


def _conversation_created(parts: Parts) -> Counted:
    """Made once; but its first message may be another one, or missing (issues 12608, 13608)."""
    counted = _conversation(parts, _AROUND_CONVERSATION | _UPDATED_AT)
    _need(parts, "created_at")
    counted["messages"] = [one.id for one in _made(parts.get("messages", _NOTHING)) or ()]
    return counted


def _conversation_changed(parts: Parts) -> Counted:
    """The instant of the change, or else of the state, tells open, resolved, open apart."""
    counted = _conversation(parts, _AROUND_CONVERSATION)
    if _says_when(counted.get("changed_attributes")):
        # The state may be newer than the change: Chatwoot reads it again when it sends.
        counted.pop("updated_at", None)
        return counted
    return counted if _has_instant(counted) else None


def _conversation(parts: Parts, around: AbstractSet[str]) -> dict[str, Any]:
    counted = _own(parts, around)
    _id(parts.get("inbox_id", _NOTHING))
    if "meta" in parts:
        meta = _parts(parts["meta"])
        counted["meta"] = {
            name: _who(raw) if name in _WHO else _any(raw) for name, raw in meta.items()
        }
    return counted


def _contact_created(parts: Parts) -> Counted:
    return _own(parts, frozenset({"account"}))


def _contact_updated(parts: Parts) -> Counted:
    counted = _own(parts, frozenset({"account"}))
    return counted if _has_instant(counted) else None


def _webwidget_triggered(parts: Parts) -> Counted:
    """A visitor's act, at an instant that the widget tells."""
    counted = _own(parts, frozenset({"account", "contact", "current_conversation", "inbox"}))
    info = counted.get("event_info")
    begun = info.get("initiated_at") if isinstance(info, dict) else None
    return counted if isinstance(begun, dict) and begun.get("timestamp") else None


def _own(parts: Parts, around: AbstractSet[str]) -> dict[str, Any]:
    """All but what is `around` the thing that the event is about, which must have a number."""
    _id(parts.get("id", _NOTHING))
    return {name: _any(raw) for name, raw in parts.items() if name not in around}


def _need(parts: Parts, name: str) -> None:
    if parts.get(name, _NOTHING) == _NOTHING:
        raise msgspec.ValidationError(name)


def _has_instant(counted: dict[str, Any]) -> bool:
    return bool(counted.get("updated_at")) or _says_when(counted.get("changed_attributes"))


def _says_when(changes: object) -> bool:
    """Whether `changed_attributes` have the instant at which the change was saved."""
    for change in changes if isinstance(changes, list) else ():
        saved = change.get("updated_at") if isinstance(change, dict) else None
        if isinstance(saved, dict) and saved.get("current_value"):
            return True
    return False


_READERS: dict[str, Callable[[Parts], Counted]] = {
    "message_created": _message_created,
    "message_incoming": _message_created,  # of a Brazilian fork, beside `message_created`
    "message_outgoing": _message_created,
    "message_updated": _message_updated,
    "conversation_created": _conversation_created,
    "conversation_updated": _conversation_changed,
    "conversation_status_changed": _conversation_changed,
    "conversation_opened": _conversation_changed,
    "conversation_resolved": _conversation_changed,
    "contact_created": _contact_created,
    "contact_updated": _contact_updated,
    "webwidget_triggered": _webwidget_triggered,
}
