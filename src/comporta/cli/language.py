"""Chooses the language of this process before any text is made, and may do nothing else.

Typer's own words ("Usage", "Missing command") come from the standard library's current text domain,
which is pointed at our catalogue; `comporta.cli.borrowed` lists those words.
"""

import gettext
import os
from collections.abc import Sequence
from pathlib import Path

from comporta import i18n
from comporta.errors import ConfigError


def settle(arguments: Sequence[str]) -> None:
    """Make the reader's language current: `--lang`, else the settings', else the locale's."""
    i18n.use(asked_for(arguments) or _from_settings())
    # Typer asks the standard library, which asks LANGUAGE; child processes inherit the choice too.
    os.environ["LANGUAGE"] = i18n.current()
    gettext.bindtextdomain("comporta", str(Path(i18n.__file__).parent / "locale"))
    gettext.textdomain("comporta")


def asked_for(arguments: Sequence[str]) -> str:
    """What `--lang` says in these arguments, or ""."""
    for index, argument in enumerate(arguments):
        if argument == "--":
            return ""
        if argument.startswith("--lang="):
            return argument.partition("=")[2]
        if argument == "--lang" and index + 1 < len(arguments):
            return arguments[index + 1]
    return ""


def _from_settings() -> str:
    from comporta.settings import Settings, environment_language  # noqa: PLC0415  (heavy)

    try:
        return Settings().language
    except ConfigError:  # whoever needs the settings says so, in the reader's language
        return environment_language()
