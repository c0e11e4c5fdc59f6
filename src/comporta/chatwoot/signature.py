"""Chatwoot's signature: how it is made, and whether one is right.

`X-Chatwoot-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + raw body)>`, where the
secret is used as plain text and the timestamp is `X-Chatwoot-Timestamp`, Unix seconds.
Source: Chatwoot 4.15.1, `lib/webhooks/trigger.rb`, `request_headers`.
"""

import hmac
from collections.abc import Sequence
from enum import StrEnum

_PREFIX = "sha256="


class SignatureFault(StrEnum):
    """Why a signature is refused."""

    MISSING = "signature missing"
    TIMESTAMP = "signature timestamp missing or not a number"
    TOO_OLD = "signature timestamp outside the tolerance"
    WRONG = "signature wrong"


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of `X-Chatwoot-Signature` for a body sent at `timestamp` (Unix seconds)."""
    return _PREFIX + _mac(secret.encode(), timestamp, body).hex()


def verify(  # noqa: PLR0913  (these are what a signature is made of)
    secrets: Sequence[bytes],
    *,
    timestamp: str,
    signature: str,
    body: bytes,
    now_s: float,
    tolerance_s: float,
) -> SignatureFault | None:
    """None if one of the live secrets made this signature recently enough, else why not.

    Args:
        secrets: the source's live secrets, at least one.
        timestamp: `X-Chatwoot-Timestamp` as received, "" if absent.
        signature: `X-Chatwoot-Signature` as received, "" if absent.
        body: the raw bytes.
        now_s: Unix seconds.
        tolerance_s: how far the timestamp may be from now, either way, in seconds.
    """
    if not signature:
        return SignatureFault.MISSING
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # noqa: PLR2004
        return SignatureFault.TIMESTAMP
    given = signature.removeprefix(_PREFIX).encode()
    # Every secret is tried, whichever fits, so that the time taken does not tell which one did.
    fits = False
    for secret in secrets:
        fits |= hmac.compare_digest(_mac(secret, timestamp, body).hex().encode(), given)
    if not fits:
        return SignatureFault.WRONG
    if abs(now_s - int(timestamp)) > tolerance_s:
        return SignatureFault.TOO_OLD
    return None


def _mac(secret: bytes, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(secret, b"%b.%b" % (timestamp.encode(), body), "sha256")
