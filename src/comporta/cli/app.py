"""The tree of commands, as a list. It is built once the language is known."""

import typer

from comporta.cli import deliveries, events, rejected, version
from comporta.cli.command import HELP_NAMES, Lang
from comporta.cli.exits import epilogue
from comporta.i18n import _


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="comporta",
        help=_("The event gateway for people who run many Chatwoot installations."),
        epilog=epilogue(),
        no_args_is_help=True,
        context_settings=HELP_NAMES,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_root)
    for part in (events, deliveries, rejected, version):
        part.add_to(app)
    return app


def _root(lang: Lang = None) -> None:
    """Take `--lang` before the command too; it is settled already."""
