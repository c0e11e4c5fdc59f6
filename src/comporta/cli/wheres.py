"""Conditions of a route as they are typed on the command line: `FIELD=VALUE`, once for each value.

`labels.any=vip`, `content.prefix=/`, `not.private=true`: the names are those of the fleet file.
Pure; what a condition may be is checked with the whole fleet.
"""

from collections.abc import Iterable

import typer

from comporta.domain.conditions import ask
from comporta.domain.fleet import Scalar
from comporta.i18n import _


def where_of(pairs: Iterable[str]) -> dict[str, tuple[Scalar, ...]]:
    """The conditions behind the options; a field that comes again may have any of its values.

    Raises:
        typer.BadParameter: one of them is not of the form.
    """
    where: dict[str, tuple[Scalar, ...]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            message = _("{text!r} is not of the form FIELD=VALUE, as in inbox_id=12")
            raise typer.BadParameter(message.format(text=pair))
        where[key] = (*where.get(key, ()), _value(key, value))
    return where


def _value(key: str, text: str) -> Scalar:
    asked = ask(key)
    if asked is not None and asked.type is str:
        return text  # a label may be called 2026, or true
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]  # a custom attribute that is a text of digits
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.removeprefix("-").isdecimal() and text.isascii() else text
