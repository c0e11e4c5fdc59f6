"""The events that `comporta bench` sends: messages of many conversations, none of them twice."""

import itertools
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

import msgspec

_CONVERSATIONS: Final = 64
_MARKER: Final = "@NUMBER@"
_FIRST: Final = 100_000_000_000
_SENDERS_MAX: Final = 100
_EVENTS_MAX: Final = 100_000_000


def bodies(turn: int, sender: int) -> Iterator[bytes]:
    """Messages that never repeat, in turn from several conversations.

    Args:
        turn: number of the round; those of one round are in no other.
        sender: number of the process; its conversations are its own.
    """
    first = _FIRST + (turn * _SENDERS_MAX + sender) * _EVENTS_MAX
    for number, form in zip(itertools.count(first), itertools.cycle(_forms(sender))):
        yield form.replace(_MARKER.encode(), str(number).encode())


def _forms(sender: int) -> tuple[bytes, ...]:
    """One `message_created` for each of a sender's conversations; its id is a marker."""
    file = resources.files("comporta.testing") / "payloads" / "message_created.json"
    payload: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    made = []
    for conversation in range(_CONVERSATIONS):
        payload["id"] = _MARKER
        payload["conversation"]["id"] = sender * 1000 + conversation
        made.append(msgspec.json.encode(payload).replace(f'"{_MARKER}"'.encode(), _MARKER.encode()))
    return tuple(made)


def mean_body_bytes() -> float:
    """The size of what is sent."""
    forms = _forms(1)
    return sum(map(len, forms)) / len(forms) - len(_MARKER) + len(str(_FIRST))
