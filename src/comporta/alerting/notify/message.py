"""What is sent, before a kind of notifier has given it its form; and how sending can fail."""

import msgspec

from comporta.alerting.model import Notice
from comporta.errors import ComportaError

ANSWER_CHARS_MAX = 200
DEADLINE_S = 15.0


class NotifyError(ComportaError):
    """A notifier could not be reached, or did not take the message; says why, without secrets."""

    retryable = True


class Message(msgspec.Struct, frozen=True):
    """A notice in one language."""

    title: str
    text: str
    at_ms: int
    notice: Notice = Notice()
    sentences: dict[str, str] = {}
    """Name of an alert → what is wrong, for programs as well."""
