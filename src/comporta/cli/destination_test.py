"""`comporta destination test`: the request that a destination would get, without sending it."""

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.destination_options import Name
from comporta.cli.event_given import EventGiven, sample_of
from comporta.i18n import _
from comporta.operating.trials import RequestTried


def add_to(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "test")(test)


async def test(
    desk: Desk,
    *,
    name: Name,
    event: EventGiven,
) -> None:
    """Show the request that a destination would get for an event. Nothing is sent.

    The signature, and headers that were chosen for the destination, are shown by name only.
    """
    sample = sample_of(event, desk.settings.body_bytes_max)
    async with desk.stores() as stores, deadline():
        tried = await stores.trials.request(name, sample, desk.now_ms())
    data = {
        "url": tried.url,
        "sent": tried.sent,
        "reason": tried.reason,
        "headers": tried.headers,
        "body": tried.body,
    }
    desk.screen.result(data, _request(tried) if tried.sent else _nothing(tried))


def _request(tried: RequestTried) -> str:
    headers = [f"{key}: {value}" for key, value in tried.headers.items()]
    return "\n".join([f"POST {tried.url}", *headers, "", tried.body])


def _nothing(tried: RequestTried) -> str:
    words = _("Nothing would be sent: {reason}.").format(reason=tried.reason)
    return f"{words}\n\n{tried.trace}" if tried.trace else words
