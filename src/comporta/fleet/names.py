"""Names and patterns: what a slug is, what a glob may hold, which event types are well known.

Event types are free, because Chatwoot and its forks add some; the list here only serves warnings.
"""

import re
import unicodedata

from comporta.fleet.declared import NAME_CHARS_MAX

EVENT_TYPES: tuple[str, ...] = (
    "message_created",
    "message_updated",
    "message_incoming",
    "message_outgoing",
    "conversation_created",
    "conversation_updated",
    "conversation_status_changed",
    "conversation_opened",
    "conversation_resolved",
    "conversation_typing_on",
    "conversation_typing_off",
    "contact_created",
    "contact_updated",
    "inbox_created",
    "inbox_updated",
    "webwidget_triggered",
    "account_created",
    "macro.executed",
    "provider_event_received",
)
"""Chatwoot's names (`app/models/webhook.rb`, listeners and services), and those of known forks."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_INSTANCE_GLOB = re.compile(r"[a-z0-9_*?-]{1,64}")
_EVENT_GLOB = re.compile(r"[A-Za-z0-9_.:*?-]{1,100}")


def is_slug(text: str) -> bool:
    """Lower-case letters, digits, - and _, at most 64, starting with a letter or digit."""
    return _SLUG.fullmatch(text) is not None


def slug_of(text: str) -> str:
    """The slug nearest to a name: `"Loja São Paulo"` → `"loja-sao-paulo"`; "" if there is none."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:NAME_CHARS_MAX].rstrip("-_")


def is_glob(pattern: str) -> bool:
    """Whether it stands for more than one name."""
    return "*" in pattern or "?" in pattern


def is_instance_pattern(text: str) -> bool:
    """A slug, or one with `*` (any characters) and `?` (one character)."""
    return _INSTANCE_GLOB.fullmatch(text) is not None and (is_glob(text) or is_slug(text))


def is_event_pattern(text: str) -> bool:
    """An event type, or one with `*` and `?`."""
    return _EVENT_GLOB.fullmatch(text) is not None
