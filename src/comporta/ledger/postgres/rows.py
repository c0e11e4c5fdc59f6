"""Rows on their way to PostgreSQL: columns as arrays, and texts that it can store."""

from collections.abc import Iterable, Sequence
from typing import cast


def columns(rows: Sequence[Sequence[object]], count: int) -> list[list[object]]:
    """The columns of rows, `count` of them even if there is no row."""
    if not rows:
        return [[] for _ in range(count)]
    return [_storable(column) for column in zip(*rows, strict=True)]


def _storable(column: Sequence[object]) -> list[object]:
    """Texts without what PostgreSQL refuses (zeros, halves of surrogates); all else as it is.

    One such text would fail its whole batch, each time that it is tried.
    """
    if not isinstance(column[0], str):
        return list(column)
    together = "".join(cast("Sequence[str]", column))
    if together.isascii() and "\0" not in together:
        return list(column)
    return [storable(value) for value in cast("Sequence[str]", column)]


def storable(text: str) -> str:
    """A text that PostgreSQL takes."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def bounds(ids: Iterable[int]) -> tuple[int, int]:
    """The lowest and the highest; of none, a range that holds nothing."""
    found = list(ids)
    return (min(found), max(found)) if found else (0, -1)
