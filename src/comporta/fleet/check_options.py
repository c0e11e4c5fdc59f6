"""The rules of a destination's options. Pure; `check` calls it, with what to do when one is broken.

Refuses numbers out of bounds, classes that do not exist, expressions that cannot work, and headers
that are ours, Chatwoot's or the connection's.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from comporta.domain.classes import EventClass
from comporta.domain.fleet import Format
from comporta.fleet.declared import (
    CLASSES_MAX,
    CONCURRENCY_MAX,
    HEADER_NAME_CHARS_MAX,
    HEADERS_MAX,
    NAME_CHARS_MAX,
    PARK_S_MAX,
    TRANSFORM_CHARS_MAX,
    DeclaredDestination,
    Fail,
)
from comporta.fleet.names import is_event_pattern
from comporta.i18n import _
from comporta.toml_lines import Path
from comporta.urls import handler_of
from comporta.words import did_you_mean

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name, by RFC 9110, section 5.1."""
_LAYOUT = str.maketrans("\n\t", "  ")
"""An expression may have several lines."""
_RESERVED = frozenset(
    (
        *("connection", "content-encoding", "content-length", "expect", "host", "keep-alive"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    )
)
_RESERVED_PREFIXES = ("ce-", "comporta-", "webhook-", "x-chatwoot-")


def check_options(destination: DeclaredDestination, fail: Fail, path: Path) -> None:
    """See that a destination breaks no rule.

    Args:
        destination: which.
        fail: called with what is wrong; raises.
        path: where it stands.
    """
    rules = _Rules(destination, fail, path)
    rules.numbers()
    rules.classes()
    rules.shape()
    rules.headers()


class _Rules:
    def __init__(self, destination: DeclaredDestination, fail: Fail, path: Path) -> None:
        self._one, self._fail, self._path = destination, fail, path

    def numbers(self) -> None:
        for key in ("concurrency", "instance_concurrency"):
            if not 0 <= getattr(self._one, key) <= CONCURRENCY_MAX:
                said = _("{key} is 1 to {max}; 0 stands for the default.")
                self._fail((*self._path, key), said.format(key=key, max=CONCURRENCY_MAX))
        if not 0 < self._one.park_s <= PARK_S_MAX:
            said = _("park_s must be more than 0 and at most {max} seconds.")
            self._fail((*self._path, "park_s"), said.format(max=f"{PARK_S_MAX:g}"))

    def classes(self) -> None:
        path, classes = (*self._path, "classes"), self._one.classes
        self._bounded(path, len(classes), CLASSES_MAX)
        known = [one.value for one in EventClass]
        for pattern, chosen in classes.items():
            if not is_event_pattern(pattern):
                said = _('"{pattern}" is neither an event type nor a pattern with * or ?.')
                self._fail((*path, pattern), said.format(pattern=pattern[:NAME_CHARS_MAX]))
            if chosen not in known:
                said = _('"{name}" is not a class of events; there are: {known}.').format(
                    name=chosen[:NAME_CHARS_MAX], known=", ".join(known)
                )
                self._fail((*path, pattern), said, did_you_mean(chosen, known))

    def shape(self) -> None:
        known = [one.value for one in Format]
        chosen, transform = self._one.format, self._one.transform
        if chosen not in known:
            said = _('"{name}" is not a format; there are: {known}.').format(
                name=chosen[:NAME_CHARS_MAX], known=", ".join(known)
            )
            self._fail((*self._path, "format"), said, did_you_mean(chosen, known))
        if chosen == Format.JMESPATH and not transform.strip():
            said = _("The format jmespath needs a transform: the expression that makes the body.")
            self._fail((*self._path, "format"), said)
        if chosen != Format.JMESPATH and transform:
            said = _("A transform has no effect without the format jmespath.")
            self._fail((*self._path, "transform"), said)
        if handler_of(self._one.url) is not None and chosen != Format.RAW:
            said = _("A handler gets events as they came: a format has no effect there.")
            self._fail((*self._path, "format"), said)
        if transform:
            self._transform((*self._path, "transform"), transform)

    def _transform(self, path: Path, expression: str) -> None:
        import jmespath  # noqa: PLC0415  (17 ms that most commands need not pay)
        from jmespath.exceptions import JMESPathError  # noqa: PLC0415
        from jmespath.functions import Functions  # noqa: PLC0415

        if len(expression) > TRANSFORM_CHARS_MAX or not expression.translate(_LAYOUT).isprintable():
            said = _("A transform has at most {max} characters, and no control characters.")
            self._fail(path, said.format(max=TRANSFORM_CHARS_MAX))
        try:
            parsed = jmespath.compile(expression).parsed
        except JMESPathError as error:
            reason = str(error).partition(":\n")[0].removesuffix(", for expression")
            said = _("This is not a JMESPath expression: {reason}. See jmespath.org.")
            self._fail(path, said.format(reason=reason))
        except RecursionError:
            self._fail(path, _("This expression is nested too deeply."))
        for name in _functions(parsed):
            if name not in Functions.FUNCTION_TABLE:
                said = _('JMESPath has no function "{name}". See jmespath.org.')
                hint = did_you_mean(name, Functions.FUNCTION_TABLE)
                self._fail(path, said.format(name=name[:NAME_CHARS_MAX]), hint)

    def headers(self) -> None:
        path, headers = (*self._path, "headers"), self._one.headers
        self._bounded(path, len(headers), HEADERS_MAX)
        if handler_of(self._one.url) is not None and headers:
            self._fail(path, _("A handler gets no request: headers have no effect there."))
        for name in headers:
            where = (*path, name)
            if not _TOKEN.fullmatch(name) or len(name) > HEADER_NAME_CHARS_MAX:
                said = _(
                    '"{name}" is not the name of a header: at most {max} letters, digits and - _ .'
                )
                shown = name[:NAME_CHARS_MAX]
                self._fail(where, said.format(name=shown, max=HEADER_NAME_CHARS_MAX))
            if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
                said = _(
                    'The header "{name}" cannot be chosen: Comporta or the connection sets it.'
                )
                self._fail(where, said.format(name=name))
            if name == "authorization" and "@" in urlsplit(self._one.url).netloc:
                said = _(
                    "The URL holds a user and password already; give them there or in this "
                    "header, not both."
                )
                self._fail(where, said)

    def _bounded(self, path: Path, count: int, count_max: int) -> None:
        if count > count_max:
            said = _("There are {found} of these; at most {max} are possible.")
            self._fail(path, said.format(found=count, max=count_max))


def _functions(node: Any) -> Iterator[str]:
    """The names of all functions that a parsed expression calls."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one["type"] == "function_expression":
            yield one["value"]
        waiting += one.get("children", ())
