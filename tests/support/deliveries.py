"""Deliveries for tests, with what matters to the test and nothing else."""

from comporta.dispatch.lanes import Lanes
from comporta.domain.delivery import Delivery
from comporta.domain.event import Headers
from comporta.domain.fairness import Share


def delivery(
    number: int,
    place: tuple[int, int] = (0, 10),
    due_at_ms: int = 0,
    body: bytes = b"{}",
    headers: Headers = (),
) -> Delivery:
    """A delivery of `place` (partition and lane), never tried before."""
    return Delivery(
        id=number,
        event_id=number,
        destination_id="dst",
        partition=place[0],
        lane=place[1],
        attempts=0,
        due_at_ms=due_at_ms,
        instance_id="ins",
        event_type="message_created",
        accepted_at_ms=0,
        headers=headers,
        body=body,
    )


def next_of(lanes: Lanes, now_ms: int = 0) -> Delivery | None:
    """The next delivery that lanes give out, of whatever share."""
    found = (lanes.next(now_ms, share) for share in Share)
    return next((one for one in found if one is not None), None)
