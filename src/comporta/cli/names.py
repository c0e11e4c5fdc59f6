"""Ids as people type them on the command line, and names for them. Pure."""

import typer

from comporta.cli.screen import Instant
from comporta.domain import ids
from comporta.i18n import _
from comporta.operating.names import Names

__all__ = ["Names", "made_at", "number"]


def number(prefix: str, text: str) -> int:
    """The number behind an id that a person typed.

    Raises:
        typer.BadParameter: it is not such an id.
    """
    try:
        return ids.parse(prefix, text)
    except ValueError:
        message = _(
            "{text!r} is not an id of the form {prefix}_ and 13 characters. Copy it from `{where}`."
        )
        where = {"evt": "comporta events", "dlv": "comporta deliveries"}[prefix]
        raise typer.BadParameter(message.format(text=text, prefix=prefix, where=where)) from None


def made_at(event_or_delivery: int) -> Instant:
    """When an event or a delivery got its id."""
    return Instant(ids.millis_of(event_or_delivery))
