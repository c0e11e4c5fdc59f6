"""The only way to the terminal: tables for people, aligned text for pipes, JSON for programs.

What is printed here often came from outside, so control characters never reach the terminal.
"""

import datetime as dt
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

import msgspec

from comporta.i18n import _

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, object]


class Instant(msgspec.Struct, frozen=True):
    """A moment (Unix milliseconds): local time for people, ISO 8601 in UTC for programs."""

    at_ms: int

    def local(self) -> str:
        """`2026-11-24 07:04:48`, in the machine's time zone."""
        return f"{self._utc().astimezone():%Y-%m-%d %H:%M:%S}"

    def iso(self) -> str:
        """`2026-11-24T07:04:48.123Z`."""
        return self._utc().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _utc(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.at_ms / 1000, dt.UTC)


class Word(msgspec.Struct, frozen=True):
    """One of a few known values: `value` for programs, `text` in the reader's language."""

    value: str
    text: str


class Column(msgspec.Struct, frozen=True):
    """A column: its key in JSON and in rows, its heading, and on which side it is aligned."""

    key: str
    title: str
    right: bool = False


def instant(at_ms: int | None) -> Instant | None:
    """None for None and for 0, which the ledger uses for "not yet"."""
    return Instant(at_ms) if at_ms else None


def clean(text: str, *, lines: bool = False) -> str:
    """`text` without control characters; with `lines`, line breaks and tabs stay."""
    kept = "\n\t" if lines else ""
    return "".join(
        letter if letter in kept or unicodedata.category(letter)[0] != "C" else "\ufffd"
        for letter in text
    )


def in_words(value: object) -> str:  # noqa: PLR0911  (one for each type)
    """A value as a person reads it, on one line."""
    match value:
        case None:
            return ""
        case bool():
            return _("yes") if value else _("no")
        case Instant():
            return value.local()
        case Word():
            return value.text
        case float():
            return f"{value:g}" if value == round(value) else f"{value:.1f}"
        case list() | tuple():
            return ", ".join(in_words(one) for one in value)
        case dict():
            return ", ".join(f"{clean(str(key))}={in_words(one)}" for key, one in value.items())
        case _:
            return clean(str(value))


def in_json(value: object) -> object:
    """A value as a program reads it."""
    match value:
        case Instant():
            return value.iso()
        case Word():
            return value.value
        case list() | tuple():
            return [in_json(one) for one in value]
        case dict():
            return {key: in_json(one) for key, one in value.items()}
        case bytes():
            return value.decode(errors="replace")
        case _:
            return value


class Screen:
    """Where a command prints its result.

    Args:
        json: print JSON on standard output and nothing else there.
    """

    def __init__(self, *, json: bool) -> None:
        self.json = json

    @property
    def interactive(self) -> bool:
        """Whether a person sits there who can be asked."""
        return not self.json and sys.stdin.isatty() and sys.stdout.isatty()

    def table(self, columns: Sequence[Column], rows: Iterable[Row], *, empty: str) -> None:
        """Print rows; as JSON, one array of objects with the columns' keys."""
        listed = list(rows)
        if self.json:
            self._json([{c.key: in_json(row.get(c.key)) for c in columns} for row in listed])
        elif not listed:
            self.note(empty)
        else:
            cells = [[in_words(row.get(column.key)) for column in columns] for row in listed]
            _print_table(columns, cells)

    def line(self, columns: Sequence[Column], row: Row) -> None:
        """Print one row of an endless table; as JSON, one object a line."""
        if self.json:
            self._json({c.key: in_json(row.get(c.key)) for c in columns}, indent=False)
        else:
            self._text("  ".join(in_words(row.get(column.key)) for column in columns))
        sys.stdout.flush()

    def record(self, pairs: Sequence[tuple[str, str, object]]) -> None:
        """Print one thing as (key, title, value) lines; as JSON, one object."""
        if self.json:
            self._json({key: in_json(value) for key, _title, value in pairs})
            return
        width = max((len(title) for _key, title, _value in pairs), default=0)
        for _key, title, value in pairs:
            self._text(f"{title:<{width}}  {in_words(value)}".rstrip())

    def result(self, data: Mapping[str, object], text: str) -> None:
        """Print one object for programs, or a text for people."""
        if self.json:
            self._json(in_json(dict(data)))
        else:
            self._text(clean(text, lines=True))

    def say(self, text: str = "") -> None:
        """Text for people on standard output, at once; nothing with `--json`."""
        if not self.json:
            self._text(clean(text, lines=True))
            sys.stdout.flush()  # it may be a pipe, and the command may go on for months

    def note(self, text: str) -> None:
        """Text for people on standard error, where it does not disturb what reads the output."""
        if not self.json:
            print(clean(text, lines=True), file=sys.stderr, flush=True)  # noqa: T201

    def raw(self, body: bytes) -> None:
        """Exact bytes on standard output."""
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        sys.stdout.flush()

    def console(self) -> "Console":
        """A rich console on standard error, for progress; silent with `--json`."""
        from rich.console import Console  # noqa: PLC0415  (60 ms that plain output need not pay)

        return Console(stderr=True, quiet=self.json)

    def _json(self, data: object, *, indent: bool = True) -> None:
        encoded = msgspec.json.encode(data)
        if indent:
            encoded = msgspec.json.format(encoded, indent=2)
        self._text(encoded.decode())

    def _text(self, text: str) -> None:
        print(text)  # noqa: T201


def _print_table(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells, sys.stdout)


def _print_rich(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _print_plain(columns: Sequence[Column], cells: Sequence[Sequence[str]], out: TextIO) -> None:
    every = [[column.title for column in columns], *cells]
    widths = [max(len(row[index]) for row in every) for index in range(len(columns))]
    for row in every:
        parts = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        print("  ".join(parts).rstrip(), file=out)
