"""Who may call: the fleet as ingest sees it, one lookup from a presented token to its source."""

import hmac
from collections.abc import Callable
from hashlib import sha256

import msgspec

from comporta.domain.fleet import Fleet, Secret, SourceKind


class Caller(msgspec.Struct, frozen=True, gc=False):
    """A source that has shown its token."""

    source_id: str
    instance_id: str
    instance_name: str
    kind: SourceKind
    secrets: tuple[bytes, ...]
    """Chatwoot's signing secrets, opened; empty: its deliveries cannot be verified."""


class Directory:
    """All live tokens of one version of the fleet.

    Args:
        fleet: the fleet.
        open_secret: unseals.
    """

    def __init__(self, fleet: Fleet, open_secret: Callable[[Secret], str]) -> None:
        self._callers: dict[str, tuple[str, Caller]] = {}
        for instance in fleet.instances:
            for source in instance.sources:
                caller = Caller(
                    source.id,
                    instance.id,
                    instance.name,
                    source.kind,
                    tuple(open_secret(secret).encode() for secret in source.secrets),
                )
                for token in source.tokens:
                    self._callers[token.digest] = (token.digest, caller)

    def find(self, token: str) -> Caller | None:
        """The caller that a token belongs to.

        The lookup goes by the token's digest, whose every bit depends on all of the token: what
        time it takes tells nothing about how near a guess was.
        """
        digest = sha256(token.encode()).hexdigest()
        known, caller = self._callers.get(digest, ("", None))
        return caller if hmac.compare_digest(known, digest) else None
