"""Where in a TOML text each key, table and array item stands: what `tomllib` does not tell.

A small scanner, used only to name a line in an error message. It takes it for granted that the text
is valid, because `tomllib` has read it before; of an invalid text it would tell nonsense.
"""

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]
"""The way to a value: `("instance", 0, "source", 1, "token")`."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL
)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")


def line_of(text: str, path: Path) -> int | None:
    """The line (from 1) of the value at `path`, or of the nearest thing around it; None if none.

    A key with dots may stand for keys within one another: `labels.any` for `labels = { any = … }`.
    """
    lines = _Scanner(text).lines()
    while path:
        for way in (path, _spread(path)):
            if way in lines:
                return lines[way]
        path = path[:-1]
    return None


def _spread(path: Path) -> Path:
    parts: list[str | int] = []
    for key in path:
        parts += key.split(".") if isinstance(key, str) else (key,)
    return tuple(parts)


class _Scanner:
    """Goes once through the text and notes the line of every path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        """Array of tables → how many it has so far."""

    def lines(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> Path:
        start = self._at
        double = self._text.startswith("[[", start)
        self._at += 2 if double else 1
        *outer, last = self._keys()
        path: Path = ()
        for key in outer:
            path = self._newest((*path, key))
        path = (*path, last)
        if double:
            self._note(path, start)
            self._tables[path] = self._tables.get(path, 0) + 1
        path = self._newest(path)
        self._at += 2 if double else 1
        self._note(path, start)
        return path

    def _newest(self, path: Path) -> Path:
        """The last table so far, where `path` is an array of tables."""
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for key in self._keys():
            path += (key,)
            self._note(path, start)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening in "\"'":
            self._take(_STRING)
        elif opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        index = 0
        while not self._closed("]"):
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        while not self._closed("}"):
            self._pair(path)

    def _closed(self, closing: str) -> bool:
        """Step over an opening bracket or a comma; True, and over it too, at the closing one."""
        self._skip(_BLANK)
        if self._text[self._at] in "[{,":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] == closing:
            self._at += 1
            return True
        return False

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                quoted = self._take(_STRING)
                keys.append(str(tomllib.loads(f"key = {quoted}")["key"]))
            else:
                keys.append(self._take(_BARE_KEY))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None, "the text is valid TOML"  # noqa: S101  (says what is known)
        self._at = match.end()
        return match.group()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _note(self, path: Path, at: int) -> None:
        self._lines.setdefault(path, bisect_right(self._breaks, at - 1) + 1)
