"""What a handler may ask for beside the event: which delivery this is, and where it came from."""

from typing import Any

import msgspec

from comporta.domain.delivery import Delivery
from comporta.domain.ids import show


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one delivery. Its `repr` leaves out headers and body."""

    delivery_id: str
    """`dlv_…`: the same for all attempts, so it is what to remember against doing a thing twice."""
    event_id: str
    """`evt_…`: the same for all handlers that get this event."""
    event_type: str
    instance: str
    """The name of the instance that the event came from."""
    attempt: int
    """1 for the first."""
    accepted_at_ms: int
    """When the event was accepted, Unix milliseconds."""
    headers: dict[str, str]
    """Chatwoot's `x-chatwoot-…` and the content type, in lower case."""
    body: bytes
    """Exactly as it came."""

    def __repr__(self) -> str:
        return f"Context({', '.join(f'{key}={value!r}' for key, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        names = ("delivery_id", "event_id", "event_type", "instance", "attempt")
        return [(name, getattr(self, name)) for name in names]


def context_of(delivery: Delivery, instance: str) -> Context:
    """The context of the next attempt at a delivery."""
    return Context(
        delivery_id=show("dlv", delivery.id),
        event_id=show("evt", delivery.event_id),
        event_type=delivery.event_type,
        instance=instance,
        attempt=delivery.attempts + 1,
        accepted_at_ms=delivery.accepted_at_ms,
        headers=dict(delivery.headers),
        body=delivery.body,
    )
