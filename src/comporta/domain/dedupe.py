"""When two events are the same one, sent twice.

Chatwoot repeats a delivery under the same `X-Chatwoot-Delivery` (a bot's retry, a re-queued job),
and sends an identical body under a new one (a listener that ran twice). Both keys are kept for a
window.
"""

from hashlib import blake2b

DEFAULT_WINDOW_S = 3600.0


def keys_of(source_id: str, event_type: str, delivery: str, body: bytes) -> tuple[bytes, ...]:
    """The keys of one event: by Chatwoot's delivery id, where there is one, and by content."""
    content = blake2b(f"b\0{source_id}\0{event_type}\0".encode(), digest_size=16)
    content.update(body)
    by_content = content.digest()
    if not delivery:
        return (by_content,)
    return (blake2b(f"d\0{source_id}\0{delivery}".encode(), digest_size=16).digest(), by_content)
