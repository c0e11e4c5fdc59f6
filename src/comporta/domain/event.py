"""An event: one accepted webhook call, as it travels from ingest through the log to dispatch."""

from typing import Any

import msgspec

Attribute = str | int | float | bool
"""The value of a custom attribute."""
CONTENT_CHARS_MAX = 150_000
"""What routes see of a message's text; Chatwoot itself allows no more
(`app/models/message.rb`)."""
Headers = tuple[tuple[str, str], ...]


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What ingest appends to the log: the envelope and the exact body.

    It is written as an array, so new fields may only be added at the end, with defaults: a worker
    of the next version reads what this one wrote.
    """

    partition: int
    accepted_at_ms: int
    """Unix milliseconds."""
    instance_id: str
    source_id: str
    event_type: str
    """Chatwoot's name, or "" where the body has none."""
    account_id: int | None
    subject: str
    """What the event is about: `conversation:12`, `contact:7`, `inbox:3`, or ""."""
    verified: bool
    """True if Chatwoot's signature was checked and right; False if no secret is known."""
    headers: Headers
    """The `X-Chatwoot-*` headers and the content type, in lower case, as received."""
    body: bytes
    uid: bytes = b""
    """16 random bytes where a log may bring the record twice: by them the second is known as a
    repeat of the first. Empty where it cannot."""

    def header(self, name: str) -> str:
        """The value of a kept header (lower-case name), or ""."""
        return next((value for key, value in self.headers if key == name), "")


class Fields(msgspec.Struct, frozen=True, gc=False):
    """What routes may ask of an event, Chatwoot's shapes made level. None: not in the event."""

    inbox_id: int | None = None
    account_id: int | None = None
    conversation_id: int | None = None
    message_type: str | None = None
    content_type: str | None = None
    private: bool | None = None
    status: str | None = None
    channel: str | None = None
    sender_type: str | None = None
    labels: tuple[str, ...] | None = None
    """Of the conversation."""
    content: str | None = None
    """A message's text, its first `CONTENT_CHARS_MAX` characters."""
    custom_attributes: dict[str, Attribute] | None = None
    """The conversation's; by names that it does not have, its contact's."""


Json = Any
"""A decoded JSON value."""
