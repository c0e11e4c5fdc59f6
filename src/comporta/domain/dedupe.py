"""When two events are the same one, sent twice: three at most of 16 bytes each say so.

Chatwoot repeats a delivery under the same `X-Chatwoot-Delivery` (a bot's retry, a re-queued job),
and says the same again under a new one (a listener that ran twice). And a log may bring one record
twice. All keys are kept for a window. What an event says is for `chatwoot.meaning` to tell.
"""

from hashlib import blake2b

DEFAULT_WINDOW_S = 3600.0


def keys_of(
    source_id: str, event_type: str, delivery: str, meaning: bytes | None, uid: bytes = b""
) -> tuple[bytes, ...]:
    """The keys of one event: by Chatwoot's delivery id, what it says, and the record's own id.

    Args:
        source_id: where it came in.
        event_type: Chatwoot's name.
        delivery: `X-Chatwoot-Delivery`, or "".
        meaning: what it says (`chatwoot.meaning`); None: that cannot be told.
        uid: `Record.uid`.
    """
    keys = []
    if delivery:
        keys.append(blake2b(f"d\0{source_id}\0{delivery}".encode(), digest_size=16).digest())
    if meaning is not None:
        said = blake2b(f"m\0{source_id}\0{event_type}\0".encode(), digest_size=16)
        said.update(meaning)
        keys.append(said.digest())
    if uid:
        keys.append(blake2b(b"r\0" + uid, digest_size=16).digest())
    return tuple(keys)
