"""The options that `comporta destination add` and `set` share, and what is made of them."""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from comporta.i18n import _

if TYPE_CHECKING:
    from comporta.fleet.options import DestinationOptions


Name = Annotated[str, typer.Argument(metavar="DESTINATION", help=_("The destination's name."))]
Url = Annotated[str, typer.Argument(metavar="URL", help=_("Where to POST."))]
NewUrl = Annotated[str | None, typer.Option("--url", metavar="URL", help=_("Where to POST."))]
Secret = Annotated[
    str | None,
    typer.Option(metavar="SECRET", help=_("Sign with it: whsec_…, env:NAME or file:PATH.")),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help=_("Seconds for a whole attempt; 10 if not set."))
]
Retry = Annotated[
    str | None,
    typer.Option(metavar="SECONDS", help=_("Waits before attempts 2, 3, …: 5,30,300")),
]
Rate = Annotated[
    str | None,
    typer.Option(metavar="RATE", help=_("So many calls at most: 50/s, 600/min, 1000/h.")),
]
Burst = Annotated[
    int | None,
    typer.Option(help=_("So many calls at once after a pause; as many as in a second if not set.")),
]
Concurrency = Annotated[
    int | None, typer.Option(help=_("So many attempts at a time, over all workers."))
]
InstanceConcurrency = Annotated[
    int | None, typer.Option(help=_("So many attempts at a time for any one instance."))
]
Park = Annotated[
    float | None,
    typer.Option(
        "--park", help=_("Seconds that one event may hold up its conversation; 3600 if not set.")
    ),
]
Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        metavar="PATTERN=CLASS",
        help=_("Treat such events as ordered, conflated or ephemeral. Repeatable."),
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help=_("raw, cloudevents or jmespath.")),
]
Transform = Annotated[
    str | None,
    typer.Option(metavar="EXPRESSION", help=_("What makes the body, for the format jmespath.")),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="NAME=VALUE",
        help=_("Send this header; the value may be env:NAME or file:PATH. Repeatable."),
    ),
]


def options_of(**given: object) -> "DestinationOptions":
    """What was given, as the fleet's service takes it.

    Raises:
        typer.BadParameter: not of the form that an option has.
    """
    said = {key: _made(key, value) for key, value in given.items() if value is not None}
    return cast("DestinationOptions", said)


def _made(key: str, value: object) -> object:
    match key, value:
        case "retry", str(text):
            return _waits(text)
        case (("rate" | "secret"), "none"):
            return None
        case (("classes" | "headers"), list(texts)):
            return _pairs(texts)
        case _:
            return value


def _waits(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        message = _("{text!r} is not a list of seconds, as in 5,30,300").format(text=text)
        raise typer.BadParameter(message) from None


def _pairs(texts: list[str]) -> dict[str, str | None]:
    pairs: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            # The whole text may be a credential, so it is not repeated.
            raise typer.BadParameter(_("Write NAME=VALUE; NAME= takes it away."))
        pairs[name] = value or None
    return pairs
