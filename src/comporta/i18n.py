"""Text for people, in English and Brazilian Portuguese.

Messages are written in English in the code, wrapped in `_()`; the Portuguese is in
`locale/pt_BR/LC_MESSAGES/comporta.po`. One language is current for the process (the command line's,
or the server's log); answers over HTTP choose theirs by `Accept-Language`, with `translate` or,
where messages are made deep inside, with `speaking`.
Values go in after translating: `_("{name} does not exist").format(name=name)`.
"""

import gettext as _gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES: tuple[str, ...] = ("en", "pt_BR")
_LOCALE = Path(__file__).parent / "locale"
_current = "en"
_spoken: ContextVar[str] = ContextVar("spoken", default="")
"""The language of one task's reader; "": the process's."""


@cache
def _catalogue(language: str) -> _gettext.NullTranslations:
    return _gettext.translation("comporta", _LOCALE, languages=[language], fallback=True)


def choose(wanted: str) -> str:
    """The language to use for a locale name or an `Accept-Language` header; English if unknown."""
    for part in wanted.replace("_", "-").lower().split(","):
        name = part.split(";")[0].split(".")[0].strip()
        if name == "pt" or name.startswith("pt-"):
            return "pt_BR"
        if name == "en" or name.startswith("en-"):
            return "en"
    return "en"


def use(language: str) -> None:
    """Make a language of `LANGUAGES` current for this process."""
    global _current  # noqa: PLW0603  (the one piece of process-wide state: a terminal has one reader)
    _current = choose(language)


def current() -> str:
    """The current language."""
    return _spoken.get() or _current


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Make a language of `LANGUAGES` current for this task, while it answers one reader."""
    before = _spoken.set(choose(language))
    try:
        yield
    finally:
        _spoken.reset(before)


def translate(message: str, language: str) -> str:
    """`message` in the given language, or unchanged where there is no translation."""
    return _catalogue(language).gettext(message) if message else ""


def _(message: str) -> str:
    return translate(message, current())


def plural(one: str, many: str, count: int) -> str:
    """`one` or `many`, translated, by `count`; `{count}` is left for the caller to fill in."""
    return _catalogue(current()).ngettext(one, many, count)
