"""What watching over the gateway keeps in the ledger: how much happened when, and small documents.

A port of its own beside `port.Ledger`: who judges by it must not have to search for events, and
what is kept here outlives them. Every call is short.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

SLOTS_READ_MAX = 400_000
"""Slots that one question brings: eight weeks of hours of about three hundred instances."""
DOCUMENT_CHARS_MAX = 4 * 1024 * 1024


class Counted(StrEnum):
    """Of whom a slot tells."""

    EVENTS = "events"
    """Of an instance, by its id: events that were taken over, in slots of an hour."""
    ATTEMPTS = "attempts"
    """Of a destination, by its id: attempts, and how many failed, in slots of five minutes."""


SLOT_MS = {Counted.EVENTS: 3_600_000, Counted.ATTEMPTS: 300_000}


class Slot(msgspec.Struct, frozen=True):
    """What happened in one span of time to one instance or destination."""

    kind: Counted
    name: str
    start_ms: int
    """Unix milliseconds, a multiple of the kind's `SLOT_MS`."""
    count: int
    bad: int = 0
    """How many of them failed."""
    spent_ms: int = 0
    """How long all of them took."""
    last_at_ms: int = 0
    """When the last of them was (Unix ms)."""
    minutes: int = 0
    """In which minutes of it something happened: bit 0 is the first. Of events only."""


def row_of(slot: Slot) -> tuple[str | int, ...]:
    """Its values, in the order of the tables' columns."""
    names = (slot.kind.value, slot.start_ms, slot.name)
    return (*names, slot.count, slot.bad, slot.spent_ms, slot.last_at_ms, slot.minutes)


class Document(msgspec.Struct, frozen=True):
    """A text that is replaced as a whole, and how often it was."""

    text: str = ""
    version: int = 0
    """0: it is not there yet."""


class Watching(Protocol):
    """Every method may raise `StoreUnavailableError`."""

    async def add_slots(self, slots: Sequence[Slot]) -> None:
        """Add to what is there.

        Counts and times add up, `last_at_ms` is the latest, bits of `minutes` stay.
        """
        ...

    async def slots(self, kind: Counted, since_ms: int) -> list[Slot]:
        """The slots that began at or after a moment (Unix ms), oldest first.

        At most `SLOTS_READ_MAX` of them, the newest.
        """
        ...

    async def forget_slots(self, kind: Counted, before_ms: int) -> None:
        """Forget the slots that began before a moment (Unix ms)."""
        ...

    async def document(self, name: str) -> Document:
        """A document; an empty one of version 0 if there is none."""
        ...

    async def keep_document(self, name: str, text: str, version: int) -> bool:
        """Replace a document that is still of this version. False: somebody else was first."""
        ...
