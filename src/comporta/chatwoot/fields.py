"""What routes may ask of a body: Chatwoot's shapes made level. Read only if a route asks.

It looks at more than `peek` does, which is on the way of every event; like it, it takes from an odd
body what does fit. Shapes: `app/models/message.rb`, `app/models/contact.rb` and
`app/presenters/conversations/event_data_presenter.rb` of Chatwoot.
"""

from typing import Any

import msgspec

from comporta.chatwoot.peek import (
    Conversation,
    Envelope,
    Id,
    Ref,
    account_of,
    conversation_id_of,
    is_conversation,
    storable,
    tolerant,
)
from comporta.domain.event import CONTENT_CHARS_MAX, Attribute, Fields


class _Person(Ref, gc=False):
    type: str | None = None
    custom_attributes: Any = None


class _Meta(msgspec.Struct, gc=False):
    sender: _Person | None = None
    """The contact of a conversation."""


class _Talk(Conversation, gc=False):
    inbox_id: Id | None = None
    status: str | None = None
    channel: str | None = None
    labels: Any = None
    custom_attributes: Any = None
    meta: _Meta | None = None


class _Body(Envelope, gc=False):
    conversation: _Talk | None = None
    contact: _Person | None = None
    inbox: Ref | None = None
    inbox_id: Id | None = None
    status: str | None = None
    channel: str | None = None
    labels: Any = None
    custom_attributes: Any = None
    meta: _Meta | None = None
    message_type: str | None = None
    content_type: str | None = None
    content: str | None = None
    private: bool | None = None
    sender: _Person | None = None


_decode = msgspec.json.Decoder(_Body).decode
_SCALARS = (str, int, float, bool)


def fields_of(body: bytes) -> Fields:
    """What routes may ask of the body of an accepted event.

    Raises:
        NotAnObjectError: the body is not a JSON object, so no accepted event's.
    """
    try:
        seen = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        seen = tolerant(body, _Body)
    event_type = seen.event or ""
    talk = seen.conversation or _talk_itself(event_type, seen)
    return Fields(
        inbox_id=_inbox_of(seen, talk),
        account_id=account_of(seen),
        conversation_id=conversation_id_of(event_type, seen),
        message_type=seen.message_type,
        content_type=seen.content_type,
        private=seen.private,
        status=talk.status if talk else None,
        channel=talk.channel if talk else seen.channel,
        sender_type=_sender_type_of(seen),
        labels=_labels_of(talk) if talk else None,
        content=seen.content[:CONTENT_CHARS_MAX] if seen.content is not None else None,
        custom_attributes=_attributes_of(event_type, seen, talk),
    )


def _talk_itself(event_type: str, seen: _Body) -> _Talk | None:
    if not is_conversation(event_type):
        return None
    return _Talk(
        inbox_id=seen.inbox_id,
        status=seen.status,
        channel=seen.channel,
        labels=seen.labels,
        custom_attributes=seen.custom_attributes,
        meta=seen.meta,
    )


def _inbox_of(seen: _Body, talk: _Talk | None) -> int | None:
    if seen.inbox_id is not None:
        return seen.inbox_id
    if talk is not None and talk.inbox_id is not None:
        return talk.inbox_id
    return seen.inbox.id if seen.inbox is not None else None


def _sender_type_of(seen: _Body) -> str | None:
    if seen.sender is None:
        return None
    # Chatwoot names the type of users and bots only; a sender without one is the contact.
    return seen.sender.type or "contact"


def _labels_of(talk: _Talk) -> tuple[str, ...] | None:
    if not isinstance(talk.labels, list):
        return None
    return tuple(storable(one) for one in talk.labels if isinstance(one, str))


def _attributes_of(event_type: str, seen: _Body, talk: _Talk | None) -> dict[str, Attribute] | None:
    contact = _contacts_own(event_type, seen, talk)
    talks = talk.custom_attributes if talk else None
    if not isinstance(contact, dict) and not isinstance(talks, dict):
        return None
    # The conversation is nearer to the event than what is known of the person.
    return {**_scalars(contact), **_scalars(talks)}


def _contacts_own(event_type: str, seen: _Body, talk: _Talk | None) -> object:
    """The custom attributes of the contact that an event is about or belongs to."""
    if event_type.startswith("contact_"):
        return seen.custom_attributes
    if talk is not None and talk.meta is not None and talk.meta.sender is not None:
        return talk.meta.sender.custom_attributes
    if seen.contact is not None:
        return seen.contact.custom_attributes
    if seen.sender is not None and _sender_type_of(seen) == "contact":
        return seen.sender.custom_attributes
    return None


def _scalars(attributes: object) -> dict[str, Attribute]:
    """Those that a route can ask for: neither null nor of many parts."""
    if not isinstance(attributes, dict):
        return {}
    return {
        name: storable(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if isinstance(value, _SCALARS)
    }
