"""An event that a person names to try something with: a body from a file, or one that is stored."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from comporta.chatwoot.peek import NotAnObjectError, peek
from comporta.cli.desk import Stores, deadline
from comporta.cli.names import number
from comporta.errors import ConfigError, NotFoundError
from comporta.i18n import _
from comporta.ledger.port import EventDetail

EventGiven = Annotated[
    str,
    typer.Option(
        metavar="FILE|EVT",
        help=_("A file with a body (- is standard input), or an event's id."),
    ),
]
_STDIN = "-"


def is_id(event: str) -> bool:
    """Whether it names a stored event. A file of such a name is given as `./evt_…`."""
    return event.startswith("evt_")


def read_body(file: str, bytes_max: int) -> bytes:
    """The body in a file; `-` is standard input.

    Raises:
        ConfigError: it cannot be read, or is larger than what would be taken in.
    """
    try:
        if file == _STDIN:
            body = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with Path(file).open("rb") as opened:
                body = opened.read(bytes_max + 1)
    except OSError as error:
        said = _('The file "{name}" cannot be read: {reason}.')
        raise ConfigError(said.format(name=file, reason=error.strerror)) from None
    if len(body) > bytes_max:
        said = _("The event is larger than body_bytes_max ({max} bytes): it would be refused.")
        raise ConfigError(said.format(max=bytes_max))
    return body


def type_of(body: bytes, file: str) -> str:
    """The event type in a body from a file.

    Raises:
        ConfigError: it is not a JSON object.
    """
    try:
        return peek(body).event_type
    except NotAnObjectError:
        said = _('"{name}" does not hold a JSON object. Give a body as Chatwoot sends it.')
        raise ConfigError(said.format(name=file)) from None


async def stored_event(stores: Stores, event: str) -> EventDetail:
    """A stored event by its id.

    Raises:
        NotFoundError: there is none.
    """
    event_id = number("evt", event)
    async with deadline():
        detail = await stores.ledger.event(event_id)
    if detail is None:
        raise NotFoundError(_("There is no event {id}.").format(id=event))
    return detail
