"""What the admin API keeps in the ledger: its keys, and the answers to repeated requests.

A port of its own, because dispatch and ingest have nothing to do with it.
"""

from enum import StrEnum
from typing import Protocol

import msgspec


class Scope(StrEnum):
    """What a key may do; each includes the ones before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, needed: "Scope") -> bool:
        """Whether this is enough for what needs `needed`."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


class ApiKey(msgspec.Struct, frozen=True):
    """An API key as it is kept: never in the clear."""

    id: str
    name: str
    scope: Scope
    digest: str
    """SHA-256 of the key, lower-case hexadecimal."""
    hint: str
    """Its first characters, so that a person can tell keys apart."""
    created_at_ms: int
    created_by: str
    last_used_at_ms: int = 0
    """Unix ms, coarse: at most once a minute; 0: never."""
    revoked_at_ms: int = 0
    """Unix ms; 0: live."""


class Begun(msgspec.Struct, frozen=True):
    """What is known of a request with an `Idempotency-Key`.

    `fresh`: it is the first, and is to be carried out. Otherwise `digest` is the first one's, and
    `answer` what it was answered, sealed ("": it is still under way).
    """

    fresh: bool
    digest: str
    answer: str = ""


class AdminLedger(Protocol):
    """The admin API's part of the ledger. Every method may raise `StoreUnavailableError`."""

    async def api_keys(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        ...

    async def add_api_key(self, key: ApiKey, live_max: int, revoked_max: int) -> None:
        """Keep a new key, and of the revoked ones the newest `revoked_max`.

        Raises:
            ConflictError: a live one has its name.
            LimitError: there are `live_max` live ones already.
        """
        ...

    async def revoke_api_key(self, key_id: str, now_ms: int) -> bool:
        """Make a key useless. False: there is no live one with this id."""
        ...

    async def touch_api_key(self, key_id: str, now_ms: int) -> None:
        """Note that a key was used."""
        ...

    async def begin(self, caller: str, key: str, digest: str, now_ms: int) -> Begun:
        """Begin a request that may be repeated, or learn what became of the first one.

        One that was begun long ago and never finished (its worker died) begins anew. Answers are
        forgotten after a day, and the oldest ones beyond `ANSWERS_MAX`.
        """
        ...

    async def finish(self, caller: str, key: str, answer: str) -> None:
        """Keep the sealed answer. "": forget the request, for it changed nothing."""
        ...


ANSWERS_MAX = 10_000
ANSWER_KEPT_MS = 24 * 3600 * 1000
UNFINISHED_MS = 120_000
"""Longer than any request may take."""
