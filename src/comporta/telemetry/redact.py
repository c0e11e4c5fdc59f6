"""Takes what must not be seen out of log lines: tokens, secrets, e-mail addresses, phone numbers.

It errs on the side of hiding: a long number that is no phone number may be masked too. Our own ids,
UUIDs and instants are left readable. Pure functions; everything is bounded.
"""

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
TEXT_CHARS_MAX = 8_000
"""Of one value in a log line; what is longer is cut."""
DEPTH_MAX = 6
ITEMS_MAX = 100

SECRET_KEY = re.compile(
    r"token|secret|passw|senha|authorization|cookie|signature|api_?key|e_?mail|phone|telefone|^body$",
    re.IGNORECASE,
)
"""Names of fields whose value is never shown."""

_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(/webhook/+)[^/?#\s\"'<>]+"), rf"\1{MASK}"),
    # user:pass@ in a URL, to the last @ before a blank: passwords may hold @ and /.
    (re.compile(r"(://)[^\s\"'<>]{0,1024}@"), rf"\1{MASK}@"),
    (re.compile(r"\b(bearer|basic)(\s+|%20|\+)[^\s\"'<>,;]+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\b(?:cmp_|whsec_)[\w+/=.~-]+"), MASK),
    (
        re.compile(
            r"((?:token|secret|password|senha|api_?key|authorization|signature)[\"']?\s{0,3}[=:]\s{0,3}"
            r"[\"']?)(?!\s)[^\s\"'&<>]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}(?:@|%40)[\w-][\w.-]{0,254}"), MASK),
)
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(
    r"(?P<keep>\b(?:evt|dlv|att)_[0-9a-z]{13}\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
    r"|(?<![0-9A-Za-z])\+?\(?[0-9](?:[ \u00a0()\-]{0,3}[0-9]){9,}",
)


def text(value: str) -> str:
    """`value` without its secrets, at most about `TEXT_CHARS_MAX` characters long."""
    value = value[: 4 * TEXT_CHARS_MAX]
    for pattern, mask in _MASKS:
        value = pattern.sub(mask, value)
    value = _NUMBER.sub(lambda match: match["keep"] or MASK, value)
    return value if len(value) <= TEXT_CHARS_MAX else f"{value[:TEXT_CHARS_MAX]}…"


def value(given: Any, depth: int = 0) -> Any:
    """`given` with every string in it, however deep, without its secrets."""
    if isinstance(given, str):
        return text(given)
    if given is None or isinstance(given, bool | int | float):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return f"<{len(given)} bytes>"
    return "…" if depth >= DEPTH_MAX else _container(given, depth)


def _container(given: Any, depth: int) -> Any:
    if isinstance(given, Mapping):
        return {
            text(str(key)): _field(str(key), item, depth + 1)
            for key, item in list(given.items())[:ITEMS_MAX]
        }
    if isinstance(given, list | tuple | set | frozenset):
        return [value(item, depth + 1) for item in list(given)[:ITEMS_MAX]]
    return text(str(given))


def _field(key: str, item: Any, depth: int = 0) -> Any:
    if key == "trace_id" and isinstance(item, str) and _TRACE_ID.fullmatch(item):
        return item
    shown = item is None or isinstance(item, bool)
    return MASK if SECRET_KEY.search(key) and not shown else value(item, depth)


def fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """A log line's fields without their secrets."""
    return {text(key): _field(key, item) for key, item in given.items()}
