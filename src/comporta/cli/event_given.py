"""An event that a person names to try something with: a body from a file, or one that is stored."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from comporta.chatwoot.peek import NotAnObjectError, peek
from comporta.cli.names import number
from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.operating.trials import Sample

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


def sample_of(event: str, bytes_max: int, instance: str = "") -> Sample:
    """What a person named.

    Args:
        event: a file with a body, or an event's id.
        bytes_max: the largest body.
        instance: whose the body in a file is.

    Raises:
        typer.BadParameter: it is not such an id.
        ConfigError: the file cannot be read, is too large, or holds no JSON object.
    """
    if is_id(event):
        return Sample(number("evt", event))
    body = _read(event, bytes_max)
    try:
        peek(body)
    except NotAnObjectError:
        said = _('"{name}" does not hold a JSON object. Give a body as Chatwoot sends it.')
        raise ConfigError(said.format(name=event)) from None
    return Sample(body=body, instance=instance)


def _read(file: str, bytes_max: int) -> bytes:
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
