"""Puts Typer's own words into the reader's language, where Typer does not do so itself.

The words for which it does ask (through the standard library's gettext) only have to stand in our
catalogue: `words` lists them, so that `scripts/messages` finds them.
"""

from typing import Any, Protocol, cast

from typer.core import TyperCommand, TyperGroup

from comporta.i18n import _


def words() -> tuple[str, ...]:
    """What Typer looks up by itself."""
    return (
        _("Arguments"),
        _("Options"),
        _("Commands"),
        _("Missing command."),
        _("No such command {name!r}."),
        _("default: {default}"),
        _("required"),
    )


class _Formatter(Protocol):
    def write_usage(self, prog: str, args: str, prefix: str) -> None: ...


class _Translated:
    """The usage line and the help of `--help`, in the current language."""

    def format_usage(self, ctx: Any, formatter: _Formatter) -> None:
        pieces = " ".join(cast("Any", self).collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, _("Usage:") + " ")

    def get_help_option_names(self, ctx: Any) -> list[str]:
        return list(ctx.help_option_names)

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.help = _("Show this message and exit.")
        return option


class Command(_Translated, TyperCommand):
    """A command that speaks the reader's language."""


class Group(_Translated, TyperGroup):
    """A group of commands that speaks the reader's language."""


def translate_completion(root: Any) -> None:
    """Give the options that Typer adds for shell completion their words."""
    helps = {
        "install_completion": _("Install completion for the current shell."),
        "show_completion": _("Print the completion script of the current shell."),
    }
    for parameter in root.params:
        parameter.help = helps.get(parameter.name, getattr(parameter, "help", None))
