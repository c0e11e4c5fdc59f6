"""Event classes: what may become of an event on its way, by what it says.

Ordered events are kept, every one, in order: messages and changes of status. Conflated ones tell a
state that the next one tells anew. Ephemeral ones are worth something for a few seconds only.
"""

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase


class EventClass(StrEnum):
    """How an event may be treated while it waits for one destination."""

    ORDERED = "ordered"
    """Strict order, never dropped."""
    CONFLATED = "conflated"
    """While it waits, a newer one of its lane and type takes its place."""
    EPHEMERAL = "ephemeral"
    """One attempt within `EPHEMERAL_TTL_S`; not stored."""


EPHEMERAL_TTL_S = 10.0
"""Seconds from its acceptance; then it is worth nothing any more."""

DEFAULT_CLASSES: dict[str, EventClass] = {
    "conversation_updated": EventClass.CONFLATED,
    "contact_updated": EventClass.CONFLATED,
    "conversation_typing_*": EventClass.EPHEMERAL,
}
"""Event type or pattern → class; whatever is not here is ordered."""


def class_of(event_type: str, own: Mapping[str, EventClass]) -> EventClass:
    """The class of an event type.

    Args:
        event_type: Chatwoot's name.
        own: a destination's own choices, patterns allowed; the first that fits wins over the
            defaults.
    """
    for choices in (own, DEFAULT_CLASSES):
        for pattern, chosen in choices.items():
            if fnmatchcase(event_type, pattern):
                return chosen
    return EventClass.ORDERED
