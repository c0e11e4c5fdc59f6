"""When Chatwoot made what an event tells of, by its own clock: for measuring how late it sends.

Only of events that are sent because something was made; of others the body does not say when.
Shapes: Chatwoot's `app/models/message.rb` (`created_at` in ISO 8601, to the millisecond) and
`app/presenters/conversations/event_data_presenter.rb` (whole Unix seconds).
"""

import datetime as dt

import msgspec

_TOLD = frozenset({"message_created", "conversation_created"})


class _Born(msgspec.Struct, gc=False):
    created_at: str | int | float | None = None


_decode = msgspec.json.Decoder(_Born).decode


def born_at_ms(event_type: str, body: bytes) -> int | None:
    """Unix milliseconds; None if the event is of another kind, or does not say."""
    if event_type not in _TOLD:
        return None
    try:
        at = _decode(body).created_at
        moment = dt.datetime.fromisoformat(at).timestamp() if isinstance(at, str) else at
        return None if moment is None else int(moment * 1000)
    except (msgspec.MsgspecError, UnicodeError, ValueError, OverflowError, RecursionError):
        return None
