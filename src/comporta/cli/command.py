"""Turns a function into a command with the options that all have, and its docstring into the help.

A command is `async def name(desk: Desk, …)` or the same without `async`. Its docstring is its help
in English; `scripts/messages` collects it for translation.
"""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from comporta.cli import borrowed
from comporta.cli.desk import Desk, Opener
from comporta.cli.exits import Exit
from comporta.cli.screen import Screen
from comporta.i18n import _

Command = Callable[..., Any]

Json = Annotated[bool, typer.Option("--json", help=_("Print JSON, for programs."))]
Lang = Annotated[
    str | None,
    typer.Option("--lang", metavar="LANG", help=_("Language: en or pt-BR. Default: the locale's.")),
]
Api = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="URL",
        help=_("Talk to the running gateway at this URL; with the key in COMPORTA_API_KEY."),
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", metavar="FILE", help=_("The API key is in this file.")),
]
_COMMON = (
    inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
    inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json),
    inspect.Parameter("api", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Api),
    inspect.Parameter(
        "api_key_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=KeyFile
    ),
    inspect.Parameter("lang", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Lang),
)


def group(name: str, summary: str) -> typer.Typer:
    """A command group such as `comporta instance …`."""
    return typer.Typer(
        name=name,
        help=summary,
        cls=borrowed.Group,
        no_args_is_help=True,
        context_settings=HELP_NAMES,
    )


HELP_NAMES = {"help_option_names": ["-h", "--help"]}


def command(
    app: typer.Typer, name: str | None = None, *, here: bool = False
) -> Callable[[Command], Command]:
    """Register the decorated function with `app`, under its own name or `name`.

    Args:
        app: the command line, or a group of it.
        name: of the command.
        here: it is about this machine, so no gateway can be asked in its place.
    """

    def register(function: Command) -> Command:
        summary = inspect.getdoc(function) or function.__name__
        app.command(
            name or function.__name__.rstrip("_"),
            cls=borrowed.Command,
            help=_(summary),
            context_settings=HELP_NAMES,
        )(_wrapped(function, here=here))
        return function

    return register


def _wrapped(function: Command, *, here: bool) -> Command:
    own = list(inspect.signature(function).parameters.values())[1:]

    def run(**values: Any) -> None:
        opener: Opener | None = values.pop("ctx").find_root().obj
        api, key_file = values.pop("api"), values.pop("api_key_file")
        if here and api is not None:
            said = _("this command is about the machine it runs on; run it there, without --api")
            raise typer.BadParameter(said, param_hint="--api")
        desk = Desk(Screen(json=values.pop("json")), opener, api, key_file)
        values.pop("lang")  # already settled, before any text was made
        try:
            result = function(desk, **values)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except BrokenPipeError:
            # Whoever read the output has seen enough (`comporta events | head`).
            raise typer.Exit(Exit.OK) from None

    first, *last = _COMMON
    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    signature = inspect.Signature([first, *keyword, *last])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    run.__name__ = function.__name__
    return run
