"""Writes `docs/reference/cli.md` from the commands themselves: `python -m comporta.cli.reference`.

A test fails if the page is not what this module makes of the commands.
"""

import sys
from collections.abc import Iterator
from typing import Any

from comporta.cli.app import build
from comporta.cli.exits import meanings
from comporta.cli.keys import KEYS

_HEAD = """# The command line

Every command takes `--json` (one object or array on standard output, errors as a problem object
on standard error), `--lang en|pt-BR` and `--help`. Times are local on the screen, and ISO 8601 in
UTC in JSON. Tables become plain aligned text in a pipe. `comporta --install-completion` teaches
your shell.

Keys in JSON are stable: they may be added to, never renamed. `--follow` and `serve --welcome`
print one JSON object a line.
"""


def page() -> str:
    """The whole page, in the current language."""
    root = build()
    parts = [_HEAD, "\n".join(_exit_codes())]
    parts += [text for path, command in _commands(root, ()) for text in _section(path, command)]
    return "\n".join(parts).rstrip() + "\n"


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | meaning |"
    yield "|---|---|"
    for code, words in meanings().items():
        yield f"| {code.value} | {words} |"
    yield ""


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _section(path: tuple[str, ...], command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [
        one
        for one in command.params
        if one.param_type_name == "option" and one.name not in {"json", "lang"}
    ]
    named = [_named(one) for one in arguments]
    yield f"## comporta {' '.join(path)}\n"
    usage = " ".join(("comporta", *path, *named, *(["[OPTIONS]"] if options else [])))
    yield f"`{usage}`\n"
    yield f"{command.help}\n"
    yield from (f"- `{_named(one)}`: {one.help}" for one in arguments)
    yield from (f"- `{_flags(one)}`: {one.help}{_default(one)}" for one in options)
    if arguments or options:
        yield ""
    keys = KEYS.get(" ".join(path))
    if keys:
        yield f"JSON: {', '.join(f'`{key}`' for key in keys)}\n"


def _named(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _flags(option: Any) -> str:
    flags = ", ".join([*option.opts, *option.secondary_opts])
    return flags if option.is_flag else f"{flags} {option.metavar or option.name.upper()}"


def _default(option: Any) -> str:
    if option.is_flag and not option.secondary_opts:
        return ""
    default = getattr(option.default, "value", option.default)
    return "" if default in {None, ""} else f" (default: {default})"


if __name__ == "__main__":
    sys.stdout.write(page())
