"""A glance into a body: the few fields that routing needs, decoded without building the rest.

A typed partial decode costs about two microseconds. Chatwoot's versions and forks differ in shape,
so a body that is a JSON object but does not fit the types falls back to a tolerant look; only what
is not a JSON object at all is refused.
"""

import json
from typing import Annotated, Any, TypeVar

import msgspec

from comporta.domain.event import Fields

_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number that the stores can hold; what is no id of Chatwoot's is passed over."""


class _Ref(msgspec.Struct, gc=False):
    id: _Id | None = None


class _PushMessage(msgspec.Struct, gc=False):
    account_id: _Id | None = None


class _Conversation(msgspec.Struct, gc=False):
    id: _Id | None = None
    inbox_id: _Id | None = None
    status: str | None = None
    channel: str | None = None
    messages: list[_PushMessage] = []


class _Sender(msgspec.Struct, gc=False):
    type: str | None = None


class _Envelope(msgspec.Struct, gc=False):
    """The union of Chatwoot's flat payloads: which key means what depends on `event`."""

    event: str | None = None
    id: _Id | None = None
    account: _Ref | None = None
    account_id: _Id | None = None
    conversation: _Conversation | None = None
    contact: _Ref | None = None
    inbox: _Ref | None = None
    inbox_id: _Id | None = None
    status: str | None = None
    channel: str | None = None
    messages: list[_PushMessage] = []
    message_type: str | None = None
    content_type: str | None = None
    private: bool | None = None
    sender: _Sender | None = None


class Peek(msgspec.Struct, frozen=True, gc=False):
    """What ingest needs to place an event."""

    event_type: str
    account_id: int | None
    subject: str


class NotAnObjectError(ValueError):
    """The body is JSON, but not an object; or not JSON at all. The message says which."""


T = TypeVar("T", bound=msgspec.Struct)
_decode = msgspec.json.Decoder(_Envelope).decode
_INNER: dict[str, type[msgspec.Struct]] = {
    "account": _Ref,
    "contact": _Ref,
    "conversation": _Conversation,
    "inbox": _Ref,
    "sender": _Sender,
}
_DIGITS_MAX = 20
_EVENT_TYPE_CHARS = 128
_SUBJECT_CHARS = 64


def peek(body: bytes) -> Peek:
    """Event type, account and subject of a body.

    Raises:
        NotAnObjectError: the body is not a JSON object.
    """
    envelope = _envelope(body)
    event_type = (envelope.event or "")[:_EVENT_TYPE_CHARS]
    return Peek(event_type, _account_of(envelope), _subject_of(event_type, envelope))


def fields_of(body: bytes) -> Fields:
    """What routes may ask of the body of an accepted event."""
    envelope = _envelope(body)
    event_type = envelope.event or ""
    conversation = _conversation_of(event_type, envelope)
    inbox_id = envelope.inbox_id
    if inbox_id is None and conversation is not None:
        inbox_id = conversation.inbox_id
    if inbox_id is None and envelope.inbox is not None:
        inbox_id = envelope.inbox.id
    return Fields(
        inbox_id=inbox_id,
        account_id=_account_of(envelope),
        conversation_id=conversation.id if conversation else None,
        message_type=envelope.message_type,
        content_type=envelope.content_type,
        private=envelope.private,
        status=conversation.status if conversation else None,
        channel=conversation.channel if conversation else envelope.channel,
        sender_type=_sender_type_of(envelope),
    )


def _sender_type_of(envelope: _Envelope) -> str | None:
    if envelope.sender is None:
        return None
    # Chatwoot names the type of users and bots only; a sender without one is the contact.
    return envelope.sender.type or "contact"


def _conversation_of(event_type: str, envelope: _Envelope) -> _Conversation | None:
    if envelope.conversation is not None:
        return envelope.conversation
    if event_type.startswith(("conversation_", "automation_event", "macro.")):
        return _Conversation(
            envelope.id, envelope.inbox_id, envelope.status, envelope.channel, envelope.messages
        )
    return None


def _account_of(envelope: _Envelope) -> int | None:
    if envelope.account is not None and envelope.account.id is not None:
        return envelope.account.id
    messages = envelope.messages or (
        envelope.conversation.messages if envelope.conversation else []
    )
    # Conversation events before 4.14.2 carry the account only inside their newest message.
    return messages[0].account_id if messages else envelope.account_id


def _subject_of(event_type: str, envelope: _Envelope) -> str:
    conversation = _conversation_of(event_type, envelope)
    if conversation is not None and conversation.id is not None:
        return f"conversation:{conversation.id}"
    for kind, ref in (("contact", envelope.contact), ("inbox", envelope.inbox)):
        if event_type.startswith(f"{kind}_"):
            return f"{kind}:{envelope.id}" if envelope.id is not None else ""
        if ref is not None and ref.id is not None:
            return f"{kind}:{ref.id}"
    return ""


def _envelope(body: bytes) -> _Envelope:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _tolerant(body)


def _tolerant(body: bytes) -> _Envelope:
    """Take from an object of unexpected types what does fit, field by field."""
    try:
        # It takes numbers of any size, where msgspec has a limit.
        value = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise NotAnObjectError("the body is not valid JSON") from error
    if not isinstance(value, dict):
        raise NotAnObjectError("the body is JSON, but not an object")
    envelope = _fit(_Envelope, value)
    if envelope.event is not None:
        # Half of a surrogate pair is a string to JSON, but nothing that can be stored.
        envelope.event = envelope.event.encode(errors="replace").decode()
    return envelope


def _whole(text: str) -> int | float:
    return int(text) if len(text) < _DIGITS_MAX else float(text)


def _fit(kind: type[T], value: dict[str, Any]) -> T:
    """Whatever of `value` fits the fields of `kind`, to any depth."""
    fitting: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        found = value.get(field.name)
        if isinstance(found, dict) and field.name in _INNER:
            fitting[field.name] = _fit(_INNER[field.name], found)
        elif isinstance(found, list) and field.name == "messages":
            fitting[field.name] = [_fit(_PushMessage, one) for one in found if type(one) is dict]
        elif found is not None:
            try:
                fitting[field.name] = msgspec.convert(found, field.type)
            except (msgspec.ValidationError, UnicodeEncodeError):
                continue
    return kind(**fitting)
