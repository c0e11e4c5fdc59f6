"""A glance into a body: the few fields that place an event, decoded without building the rest.

A typed partial decode costs about two microseconds. Chatwoot's versions and forks differ in shape,
so a body that is a JSON object but does not fit the types falls back to a tolerant look; only what
is not a JSON object at all is refused. What routes ask for is read by `chatwoot.fields`.
"""

import json
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number that the stores can hold; what is no id of Chatwoot's is passed over."""


class Ref(msgspec.Struct, gc=False):
    """Something that is named by its id."""

    id: Id | None = None


class PushMessage(msgspec.Struct, gc=False):
    """The newest message inside a conversation."""

    account_id: Id | None = None


class Conversation(msgspec.Struct, gc=False):
    """A conversation, nested in another thing."""

    id: Id | None = None
    messages: list[PushMessage] = []


class Envelope(msgspec.Struct, gc=False):
    """The union of Chatwoot's flat payloads: which key means what depends on `event`."""

    event: str | None = None
    id: Id | None = None
    account: Ref | None = None
    account_id: Id | None = None
    conversation: Conversation | None = None
    contact: Ref | None = None
    inbox: Ref | None = None
    messages: list[PushMessage] = []


class Peek(msgspec.Struct, frozen=True, gc=False):
    """What ingest needs to place an event."""

    event_type: str
    account_id: int | None
    subject: str


class NotAnObjectError(ValueError):
    """The body is JSON, but not an object; or not JSON at all. The message says which."""


T = TypeVar("T", bound=msgspec.Struct)
_decode = msgspec.json.Decoder(Envelope).decode
_DIGITS_MAX = 20
_EVENT_TYPE_CHARS = 128
_CONVERSATIONS = ("conversation_", "automation_event", "macro.")


def peek(body: bytes) -> Peek:
    """Event type, account and subject of a body.

    Raises:
        NotAnObjectError: the body is not a JSON object.
    """
    try:
        envelope = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = tolerant(body, Envelope)
    event_type = (envelope.event or "")[:_EVENT_TYPE_CHARS]
    return Peek(event_type, account_of(envelope), _subject_of(event_type, envelope))


def is_conversation(event_type: str) -> bool:
    """Whether the body of such an event is a conversation itself."""
    return event_type.startswith(_CONVERSATIONS)


def account_of(envelope: Envelope) -> int | None:
    """The account that a body names, wherever it does."""
    if envelope.account is not None and envelope.account.id is not None:
        return envelope.account.id
    messages = envelope.messages or (
        envelope.conversation.messages if envelope.conversation else []
    )
    # Conversation events before 4.14.2 carry the account only inside their newest message.
    return messages[0].account_id if messages else envelope.account_id


def conversation_id_of(event_type: str, envelope: Envelope) -> int | None:
    """The number of the conversation that a body is about or belongs to."""
    if envelope.conversation is not None:
        return envelope.conversation.id
    return envelope.id if is_conversation(event_type) else None


def _subject_of(event_type: str, envelope: Envelope) -> str:
    conversation_id = conversation_id_of(event_type, envelope)
    if conversation_id is not None:
        return f"conversation:{conversation_id}"
    for kind, ref in (("contact", envelope.contact), ("inbox", envelope.inbox)):
        if event_type.startswith(f"{kind}_"):
            return f"{kind}:{envelope.id}" if envelope.id is not None else ""
        if ref is not None and ref.id is not None:
            return f"{kind}:{ref.id}"
    return ""


def tolerant(body: bytes, kind: type[T]) -> T:
    """Take from an object of unexpected types what does fit `kind`, field by field.

    Raises:
        NotAnObjectError: the body is not a JSON object.
    """
    try:
        # It takes numbers of any size, where msgspec has a limit.
        value = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise NotAnObjectError("the body is not valid JSON") from error
    if not isinstance(value, dict):
        raise NotAnObjectError("the body is JSON, but not an object")
    return _fit(kind, value)


def storable(text: str) -> str:
    """`text`, without halves of surrogate pairs: strings to JSON, but nothing that can be kept."""
    return text.encode(errors="replace").decode()


def _whole(text: str) -> int | float:
    return int(text) if len(text) < _DIGITS_MAX else float(text)


@cache
def _inner(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    """The fields that hold a struct, or a list of structs. There are few kinds."""
    found = {}
    for field in msgspec.structs.fields(kind):
        for one in (field.type, *get_args(field.type)):
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                found[field.name] = one
    return found


def _fit(kind: type[T], value: dict[str, Any]) -> T:
    """Whatever of `value` fits the fields of `kind`, to any depth."""
    fitting: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        found = value.get(field.name)
        inner = _inner(kind).get(field.name)
        many = get_origin(field.type) is list
        if inner and isinstance(found, list) and many:
            fitting[field.name] = [_fit(inner, one) for one in found if type(one) is dict]
        elif inner and isinstance(found, dict) and not many:
            fitting[field.name] = _fit(inner, found)
        elif found is not None:
            try:
                fitting[field.name] = msgspec.convert(_said(found), field.type)
            except (msgspec.ValidationError, UnicodeEncodeError):
                continue
    return kind(**fitting)


def _said(value: object) -> object:
    return storable(value) if isinstance(value, str) else value
