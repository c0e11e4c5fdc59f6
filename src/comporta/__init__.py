"""Comporta: the event gateway for people who run many Chatwoot installations.

Every webhook from every installation is made durable before it is answered, kept in conversation
order, and delivered with retries, dead letters and replay. The names here are those that a module
of handlers needs.
"""

from comporta.chatwoot.events import (
    Contact,
    ContactCreated,
    ContactUpdated,
    Conversation,
    ConversationCreated,
    ConversationOpened,
    ConversationResolved,
    ConversationStatusChanged,
    ConversationUpdated,
    Message,
    MessageCreated,
    MessageUpdated,
    Typing,
    WebwidgetTriggered,
)
from comporta.handlers.context import Context
from comporta.handlers.registry import Gateway
from comporta.handlers.signals import Drop, Retry

__version__ = "0.1.0"
__all__ = [
    "Contact",
    "ContactCreated",
    "ContactUpdated",
    "Context",
    "Conversation",
    "ConversationCreated",
    "ConversationOpened",
    "ConversationResolved",
    "ConversationStatusChanged",
    "ConversationUpdated",
    "Drop",
    "Gateway",
    "Message",
    "MessageCreated",
    "MessageUpdated",
    "Retry",
    "Typing",
    "WebwidgetTriggered",
]
