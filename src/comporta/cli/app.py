"""The tree of commands, as a list. It is built once the language is known."""

from typing import Any

import typer

from comporta.cli import (
    alerts,
    api_key,
    audit,
    bench,
    borrowed,
    deliveries,
    demo,
    deploy,
    destination,
    doctor,
    events,
    first,
    fleetfile,
    instance,
    move,
    plan,
    redrive,
    rejected,
    route,
    serve,
    simulate,
    sink,
    source,
    top,
    version,
    why,
)
from comporta.cli.command import HELP_NAMES, Lang
from comporta.cli.exits import epilogue
from comporta.i18n import _


def build() -> Any:
    """The whole command line, ready to run."""
    app = typer.Typer(
        name="comporta",
        help=_("The event gateway for people who run many Chatwoot installations."),
        epilog=epilogue(),
        cls=borrowed.Group,
        no_args_is_help=True,
        context_settings=HELP_NAMES,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_root)
    for part in (
        serve,
        first,
        fleetfile,
        instance,
        source,
        destination,
        route,
        events,
        deliveries,
        redrive,
        audit,
        rejected,
        alerts,
        doctor,
        why,
        bench,
        move,
        plan,
        deploy,
        simulate,
        sink,
        demo,
        top,
        api_key,
        version,
    ):
        part.add_to(app)
    root = typer.main.get_command(app)
    borrowed.translate_completion(root)
    return root


def _root(lang: Lang = None) -> None:
    """Take `--lang` before the command too; it is settled already."""
