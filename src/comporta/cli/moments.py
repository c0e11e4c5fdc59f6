"""Understands how a person says when: `2h`, `2026-11-24`, `2026-11-24T07:00-03:00`. Pure."""

import datetime as dt
import re

import typer

from comporta.i18n import _

_AGO = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def since_ms(text: str, now_ms: int) -> int:
    """The Unix milliseconds that `text` means; dates without a zone are in the machine's.

    Raises:
        typer.BadParameter: it is neither a span nor a date.
    """
    ago = _AGO.fullmatch(text.strip().lower())
    if ago:
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        message = _("{text!r} is neither a span (45s, 30m, 2h, 7d) nor a date (2026-11-24T07:00)")
        raise typer.BadParameter(message.format(text=text)) from None
