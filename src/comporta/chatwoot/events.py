"""Chatwoot's webhook bodies as types, for handlers: `async def answer(event: MessageCreated)`.

They are tolerant: keys that are not here are passed over, and whatever a version or a fork may
leave out has a default. Instants stand as Chatwoot writes them, which is not always alike: a text
in ISO 8601, or Unix seconds with 0 for never. Shapes: Chatwoot's `app/models/message.rb` and
`app/presenters/conversations/event_data_presenter.rb`, from 4.2 to 4.16.
"""

from typing import Any, ClassVar

import msgspec

Instant = str | int | float | None


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a body. Its `repr` shows no more than its id: the rest is about people."""

    begins: ClassVar[tuple[str, ...]] = ()
    """How the names of the events begin that it is for."""

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        id_ = getattr(self, "id", None)
        return [] if id_ is None else [("id", id_)]


class Account(Shape, frozen=True, kw_only=True):
    """An account; its id is unique only within its Chatwoot."""

    id: int
    name: str | None = None


class Inbox(Shape, frozen=True, kw_only=True):
    """An inbox."""

    id: int
    name: str | None = None


class Team(Shape, frozen=True, kw_only=True):
    """A team."""

    id: int
    name: str | None = None


class Person(Shape, frozen=True, kw_only=True):
    """A contact, a user, an agent bot or Captain; see `kind`."""

    id: int | None = None
    type: str | None = None
    """Of users and bots always, of contacts only in some places."""
    name: str | None = None
    email: str | None = None
    phone_number: str | None = None
    identifier: str | None = None
    available_name: str | None = None
    availability_status: str | None = None
    blocked: bool | None = None
    additional_attributes: dict[str, Any] | None = None
    custom_attributes: dict[str, Any] | None = None
    account: Account | None = None

    @property
    def kind(self) -> str:
        """`contact`, `user`, `agent_bot` or `captain_assistant`."""
        return self.type or "contact"


class Attachment(Shape, frozen=True, kw_only=True):
    """A file, a place or a contact card of a message."""

    id: int | None = None
    file_type: str | None = None
    """`image`, `audio`, `video`, `file`, `location`, `contact`, `fallback`, …"""
    extension: str | None = None
    content_type: str | None = None
    data_url: str | None = None
    """Where it can be fetched, by a redirect; may not be there yet when a message is new."""
    thumb_url: str | None = None
    file_size: int | None = None
    width: int | None = None
    height: int | None = None
    transcribed_text: str | None = None
    coordinates_lat: float | None = None
    coordinates_long: float | None = None
    fallback_title: str | None = None
    meta: dict[str, Any] | None = None


class ContactInbox(Shape, frozen=True, kw_only=True):
    """A contact's identity in an inbox, its credential left out."""

    id: int | None = None
    contact_id: int | None = None
    inbox_id: int | None = None
    source_id: str | None = None
    hmac_verified: bool | None = None


class NewestMessage(Shape, frozen=True, kw_only=True):
    """A conversation's newest message when the body was made; not always the event's own."""

    id: int | None = None
    content: str | None = None
    account_id: int | None = None
    inbox_id: int | None = None
    conversation_id: int | None = None
    message_type: int | None = None
    """0: incoming, 1: outgoing, 3: template."""
    content_type: str | None = None
    content_attributes: dict[str, Any] | None = None
    private: bool | None = None
    status: str | None = None
    source_id: str | None = None
    sender_type: str | None = None
    sender_id: int | None = None
    created_at: Instant = None
    updated_at: Instant = None
    attachments: list[Attachment] = []
    sender: Person | None = None


class Meta(Shape, frozen=True, kw_only=True):
    """Who a conversation is with, and whose it is."""

    sender: Person | None = None
    assignee: Person | None = None
    assignee_type: str | None = None
    team: Team | None = None
    hmac_verified: bool | None = None


class Change(Shape, frozen=True, kw_only=True):
    """What a field was, and what it is."""

    previous_value: Any = None
    current_value: Any = None


def _merged(parts: list[dict[str, Change]] | None) -> dict[str, Change]:
    """Chatwoot sends a list of objects with one key each."""
    return {name: one for part in parts or () for name, one in part.items()}


class Conversation(Shape, frozen=True, kw_only=True):
    """A conversation: within other events, and by itself as any `conversation_…` event."""

    begins: ClassVar = ("conversation_", "automation_event", "macro.")
    id: int
    """The number that people see, unique only within its account; the one for API calls."""
    event: str = ""
    account: Account | None = None
    """Chatwoot 4.14.2 and newer."""
    inbox_id: int | None = None
    channel: str | None = None
    status: str | None = None
    """`open`, `pending`, `resolved` or `snoozed`."""
    can_reply: bool | None = None
    priority: str | None = None
    labels: list[str] = []
    meta: Meta = Meta()
    messages: list[NewestMessage] = []
    """One at most."""
    contact_inbox: ContactInbox | None = None
    additional_attributes: dict[str, Any] | None = None
    custom_attributes: dict[str, Any] | None = None
    unread_count: int | None = None
    snoozed_until: Instant = None
    first_reply_created_at: Instant = None
    waiting_since: Instant = None
    agent_last_seen_at: Instant = None
    contact_last_seen_at: Instant = None
    last_activity_at: Instant = None
    created_at: Instant = None
    updated_at: Instant = None
    changed_attributes: list[dict[str, Change]] | None = None

    @property
    def changes(self) -> dict[str, Change]:
        """Field → what it was and is; empty where Chatwoot does not say."""
        return _merged(self.changed_attributes)


class ConversationCreated(Conversation, frozen=True, kw_only=True):
    """`conversation_created`."""


class ConversationUpdated(Conversation, frozen=True, kw_only=True):
    """`conversation_updated`: see `changes`."""


class ConversationStatusChanged(Conversation, frozen=True, kw_only=True):
    """`conversation_status_changed`; `changes` is empty, `status` is the new one."""


class ConversationOpened(Conversation, frozen=True, kw_only=True):
    """`conversation_opened`, for bots."""


class ConversationResolved(Conversation, frozen=True, kw_only=True):
    """`conversation_resolved`, for bots."""


class Message(Shape, frozen=True, kw_only=True):
    """A message, as any `message_…` event."""

    begins: ClassVar = ("message_",)
    id: int
    event: str = ""
    account: Account | None = None
    inbox: Inbox | None = None
    conversation: Conversation | None = None
    content: str | None = None
    """None where there are only attachments."""
    content_type: str | None = None
    message_type: str | None = None
    """`incoming`, `outgoing` or `template`."""
    private: bool | None = None
    """A note among agents."""
    sender: Person | None = None
    """None: a template, an automation, or the telephone of the number's owner."""
    source_id: str | None = None
    content_attributes: dict[str, Any] | None = None
    additional_attributes: dict[str, Any] | None = None
    attachments: list[Attachment] = []
    created_at: Instant = None


class MessageCreated(Message, frozen=True, kw_only=True):
    """`message_created`. A bot is sent its own replies and private notes too."""


class MessageUpdated(Message, frozen=True, kw_only=True):
    """`message_updated`: a receipt, an edit, a deletion, an answer to a form."""


class Contact(Person, frozen=True, kw_only=True):
    """A contact, as any `contact_…` event."""

    begins: ClassVar = ("contact_",)
    event: str = ""
    changed_attributes: list[dict[str, Change]] | None = None

    @property
    def changes(self) -> dict[str, Change]:
        """Field → what it was and is; empty where Chatwoot does not say."""
        return _merged(self.changed_attributes)


class ContactCreated(Contact, frozen=True, kw_only=True):
    """`contact_created`."""


class ContactUpdated(Contact, frozen=True, kw_only=True):
    """`contact_updated`: see `changes`."""


class Typing(Shape, frozen=True, kw_only=True):
    """Somebody types, or stopped: `conversation_typing_on` and `conversation_typing_off`."""

    begins: ClassVar = ("conversation_typing_",)
    event: str = ""
    conversation: Conversation
    user: Person | None = None
    is_private: bool | None = None


class WebwidgetTriggered(Shape, frozen=True, kw_only=True):
    """`webwidget_triggered`: a visitor opened the chat on a website."""

    begins: ClassVar = ("webwidget_",)
    event: str = ""
    contact: Person | None = None
    inbox: Inbox | None = None
    account: Account | None = None
    current_conversation: Conversation | None = None
    source_id: str | None = None
    event_info: dict[str, Any] | None = None
