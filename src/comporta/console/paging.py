"""Lists a page at a time: `limit`, an opaque `cursor`, and where the next page is."""

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from comporta.console import problems
from comporta.console.problems import Fault, RefusedError
from comporta.i18n import _

LIMIT_MAX = 200
CURSOR_CHARS_MAX = 200
_ID_DIGITS = 19
T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="At most so many.")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_CHARS_MAX, description="The `next` of the page before."),
]


def write_cursor(kind: str, mark: str | int) -> str:
    """Where to go on, in a form that nobody takes for a promise."""
    return base64.urlsafe_b64encode(f"{kind}:{mark}".encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str | None) -> str | None:
    """The mark in a cursor; None for None.

    Raises:
        RefusedError: it is not one of this list.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found, colon, mark = raw.decode().partition(":")
    except ValueError:
        found, colon, mark = "", "", ""
    if found != kind or not colon:
        said = _("This is not a cursor of this list. Leave it out to begin at the start.")
        raise RefusedError(problems.INVALID, errors=(Fault("cursor", said),))
    return mark


def read_id_cursor(kind: str, cursor: str | None) -> int | None:
    """The id in a cursor; None for None.

    Raises:
        RefusedError: it is not one of this list.
    """
    mark = read_cursor(kind, cursor)
    if mark is None:
        return None
    is_id = mark.isascii() and mark.isdecimal() and len(mark) <= _ID_DIGITS and int(mark) < 2**63
    return int(mark) if is_id else read_id_cursor(kind, "")


def cut(
    rows: Sequence[T], limit: int, kind: str, mark: Callable[[T], str | int]
) -> tuple[Sequence[T], str | None]:
    """The page, from one row more than it has, and the cursor of the next one."""
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, write_cursor(kind, mark(page[-1]))


def named_page(
    things: Sequence[T], limit: int, cursor: str | None, kind: str, name: Callable[[T], str]
) -> tuple[Sequence[T], str | None]:
    """A page of things in the order of their names."""
    after = read_cursor(kind, cursor)
    rest = sorted((one for one in things if after is None or name(one) > after), key=name)
    return cut(rest[: limit + 1], limit, kind, name)


def link(request: Request, response: Response, cursor: str | None) -> None:
    """Say in the head, too, where the next page is (RFC 8288)."""
    if cursor is not None:
        kept = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
        query = urlencode([*kept, ("cursor", cursor)])
        response.headers["link"] = f'<{request.url.path}?{query}>; rel="next"'
