"""When two events are the same one, sent twice: two at most of 16 bytes each say so.

Chatwoot repeats a delivery under the same `X-Chatwoot-Delivery` (a bot's retry, a re-queued job),
and says the same again under a new one (a listener that ran twice). Both keys are kept for a
window. What an event says is for `chatwoot.meaning` to tell.
"""

from hashlib import blake2b

DEFAULT_WINDOW_S = 3600.0


def keys_of(
    source_id: str, event_type: str, delivery: str, meaning: bytes | None
) -> tuple[bytes, ...]:
    """The keys of one event: by Chatwoot's delivery id and by what it says, where there is one."""
    keys = []
    if delivery:
        keys.append(blake2b(f"d\0{source_id}\0{delivery}".encode(), digest_size=16).digest())
    if meaning is not None:
        said = blake2b(f"m\0{source_id}\0{event_type}\0".encode(), digest_size=16)
        said.update(meaning)
        keys.append(said.digest())
    return tuple(keys)
