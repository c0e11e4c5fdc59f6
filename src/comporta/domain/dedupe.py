"""When two events are the same one, sent twice.

Chatwoot repeats a delivery under the same `X-Chatwoot-Delivery` (a bot's retry, a re-queued job),
and sends an identical body under a new one (a listener that ran twice). Both keys are kept for a
window. Typing events legitimately repeat with identical bodies, so theirs is short.
"""

from hashlib import blake2b

import msgspec

TYPING_WINDOW_S = 10.0
DEFAULT_WINDOW_S = 3600.0


class DedupeKey(msgspec.Struct, frozen=True, gc=False):
    """A key and for how long (seconds) an earlier event with it makes this one a repeat."""

    key: bytes
    window_s: float


def keys_of(
    source_id: str, event_type: str, delivery: str, body: bytes, window_s: float
) -> tuple[DedupeKey, ...]:
    """The keys of one event: by Chatwoot's delivery id, where there is one, and by content."""
    if window_s <= 0:
        return ()
    body_window_s = window_s
    if event_type.startswith("conversation_typing_"):
        body_window_s = min(window_s, TYPING_WINDOW_S)
    content = blake2b(f"b\0{source_id}\0{event_type}\0".encode(), digest_size=16)
    content.update(body)
    by_content = DedupeKey(content.digest(), body_window_s)
    if not delivery:
        return (by_content,)
    digest = blake2b(f"d\0{source_id}\0{delivery}".encode(), digest_size=16).digest()
    return (DedupeKey(digest, window_s), by_content)
