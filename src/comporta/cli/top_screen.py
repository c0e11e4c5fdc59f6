"""The live screen of `comporta top`: drawn anew each time, ended with q. Only at a terminal."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from comporta.cli.screen import Column, Row, clean, in_words
from comporta.cli.top_picture import Picture
from comporta.cli.top_words import (
    destination_cells,
    destination_columns,
    headline,
    instance_cells,
    instance_columns,
)
from comporta.i18n import _

_AROUND_ROWS = 13
"""Lines that are no rows: the title, totals that may wrap, headings, what was left out."""


class LiveScreen:
    """The whole terminal, until it is left.

    Args:
        title: what is watched.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    @contextmanager
    def shown(self) -> Iterator[asyncio.Event]:
        """Take the terminal; what it gives is set when the person wants to leave."""
        leave = asyncio.Event()
        with self._live, _keys(leave):
            yield leave

    def draw(self, found: Picture, errors: Sequence[str]) -> None:
        """Show this."""
        room = self._console.size.height - _AROUND_ROWS - len(errors)
        destinations, instances = shares(len(found.destinations), len(found.instances), room)
        cells = destination_cells(found.destinations), instance_cells(found.instances)
        marks = [[row.in_trouble for row in rows] for rows in (found.destinations, found.instances)]
        ends = _("q ends it")
        parts = [
            Text(clean(f"{self._title}   {ends}"), style="dim"),
            *(Text(clean(line), style="bold red") for line in errors),
            *(Text(line) for line in headline(found.totals)),
            Text(),
            *_table(destination_columns(), cells[0], marks[0], destinations),
            Text(),
            *_table(instance_columns(), cells[1], marks[1], instances),
        ]
        self._live.update(Group(*parts), refresh=True)


def shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How many rows of two tables are shown in so many lines; each gets what the other leaves."""
    room = max(room, 2)
    half = room // 2
    given = min(first, max(half, room - second))
    return given, min(second, room - given)


def _table(
    columns: Sequence[Column], cells: Sequence[Row], marks: Sequence[bool], shown: int
) -> Iterator[Table | Text]:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row, marked in list(zip(cells, marks, strict=True))[:shown]:
        words = (Text(in_words(row[column.key])) for column in columns)
        table.add_row(*words, style="red" if marked else "")
    yield table
    if len(cells) > shown:
        said = _("… and {count} more; --once shows them all")
        yield Text(said.format(count=len(cells) - shown), style="dim")


@contextmanager
def _keys(leave: asyncio.Event) -> Iterator[None]:
    """Read keys one by one, unseen; q sets `leave`."""
    if not sys.stdin.isatty():
        yield
        return
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        pressed = os.read(stdin, 64)
        if not pressed or b"q" in pressed.lower():
            loop.remove_reader(stdin)
            leave.set()

    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin)
    loop.add_reader(stdin, read)
    try:
        yield
    finally:
        loop.remove_reader(stdin)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
