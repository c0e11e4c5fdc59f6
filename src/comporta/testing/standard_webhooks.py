"""Checking Standard Webhooks signatures, as a destination does. It signs nothing.

`webhook-signature: v1,<base64 of HMAC-SHA256(key, id + "." + timestamp + "." + body)>`, several of
them apart by spaces while keys rotate; the secret is `whsec_` and the key in base64.
Source: the Standard Webhooks specification, 1.0.0.
"""

import base64
import binascii
import hmac

TOLERANCE_S = 300


def key_of(secret: str) -> bytes:
    """The key in a secret.

    Raises:
        ValueError: not `whsec_` (which may be left out) and base64.
    """
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        # The cause is left out: it could show a part of the secret.
        raise ValueError("a secret has to be whsec_ followed by base64") from None


def is_signed(  # noqa: PLR0913, PLR0917  (these are what a signature is made of)
    key: bytes, webhook_id: str, timestamp: str, signatures: str, body: bytes, now_s: float
) -> bool:
    """Whether one of the signatures is right and the timestamp (Unix seconds) within 300 s."""
    if not (timestamp.isascii() and timestamp.isdigit()):
        return False
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        return False
    mac = hmac.digest(key, b"%b.%b.%b" % (webhook_id.encode(), timestamp.encode(), body), "sha256")
    right = b"v1," + base64.b64encode(mac)
    return any(hmac.compare_digest(right, given.encode()) for given in signatures.split())
