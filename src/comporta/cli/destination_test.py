"""`comporta destination test`: the request that a destination would get, without sending it."""

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, Stores, deadline
from comporta.cli.destination_options import Name
from comporta.cli.event_given import EventGiven, is_id, read_body, stored_event, type_of
from comporta.cli.events import body_of
from comporta.cli.names import Names
from comporta.domain import ids
from comporta.domain.delivery import Delivery, Ending
from comporta.domain.event import Headers
from comporta.errors import FleetError
from comporta.fleet.named import find
from comporta.i18n import _
from comporta.urls import handler_of, masked_url

_SAMPLE_INSTANCE = "example"
_MASKED = "***"


def add_to(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "test", here=True)(test)


async def test(
    desk: Desk,
    *,
    name: Name,
    event: EventGiven,
) -> None:
    """Show the request that a destination would get for an event. Nothing is sent.

    Headers that were chosen for the destination are shown by name only.
    """
    from comporta.destinations.http import open_endpoint, request_of  # noqa: PLC0415  (heavy)
    from comporta.destinations.shape import Unshapable  # noqa: PLC0415

    async with desk.local_stores() as stores:
        async with deadline():
            fleet = await stores.fleet.read()
        destination = find("destination", name, fleet.destinations)
        if handler_of(destination.url) is not None:
            said = _("{name} is a handler: it gets no request, but the event as it came.")
            raise FleetError(said.format(name=name))
        delivery = await _delivery(desk, stores, event)
        instance = Names(fleet).instance(delivery.instance_id)
        endpoint = open_endpoint(destination, lambda one: stores.vault.open(one.sealed))
    made = request_of(endpoint, delivery, instance, desk.now_ms())
    url = masked_url(destination.url)
    if isinstance(made, Unshapable):
        data = {"url": url, "sent": False, "reason": made.reason, "headers": {}, "body": ""}
        words = _("Nothing would be sent: {reason}.").format(reason=made.reason)
        shown = (
            "" if made.ending is Ending.DROPPED else "\n\n" + made.trace.decode(errors="replace")
        )
        desk.screen.result(data, words + shown)
        return
    headers = {
        key: _MASKED if key in endpoint.headers else value for key, value in made.headers.items()
    }
    body = made.body.decode(errors="replace")
    data = {"url": url, "sent": True, "reason": "", "headers": headers, "body": body}
    lines = [f"POST {url}", *(f"{key}: {value}" for key, value in headers.items())]
    desk.screen.result(data, "\n".join([*lines, "", body]))


async def _delivery(desk: Desk, stores: Stores, event: str) -> Delivery:
    """A delivery of the event that nobody owes; its id is that of the event."""
    if is_id(event):
        detail = await stored_event(stores, event)
        row = detail.row
        return _made(row.id, row.instance_id, row.event_type, detail.headers, body_of(detail))
    body = read_body(event, desk.settings.body_bytes_max)
    event_id = ids.first_at(desk.now_ms())
    return _made(event_id, _SAMPLE_INSTANCE, type_of(body, event), (), body)


def _made(
    event_id: int, instance_id: str, event_type: str, headers: Headers, body: bytes
) -> Delivery:
    return Delivery(
        id=event_id,
        event_id=event_id,
        destination_id="",
        partition=0,
        lane=0,
        attempts=0,
        due_at_ms=0,
        instance_id=instance_id,
        event_type=event_type,
        accepted_at_ms=ids.millis_of(event_id),
        headers=headers,
        body=body,
    )
