"""Standard Webhooks: the headers that let a receiver know a delivery is genuine and whole.

Source: https://github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`.
"""

import base64
import hmac

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key behind a secret: base64 after `whsec_`, else the text's own bytes."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except ValueError:
            pass
    return secret.encode()


def signature(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature` for a body sent at `timestamp` (Unix seconds)."""
    mac = hmac.digest(key, b"%b.%d.%b" % (webhook_id.encode(), timestamp, body), "sha256")
    return "v1," + base64.b64encode(mac).decode()
