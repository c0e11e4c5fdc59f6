"""Lines of keys, tables and items in TOML texts of every shape."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comporta.toml_lines import Path, line_of

TEXT = '''# a comment with = and [brackets]
title = "a # no comment"     # a comment
"quoted key".'lit.eral' = 1979-05-27 07:32:00

[table]
"esc\\u0061ped" = """
three = "lines"
\\""" still text """
literal = \'\'\'
[not] = 'a table'\'\'\'\'
list = [
  1, # one
  [2, 3],
  { x = 1, y.z = [
      true ] },
]
empty = []
none = {}

[[instance]]
name = "a"
  [[instance.source]]
  kind = 'x'
  [[instance.source]]
  kind = 'y'
  [instance.extra]
  deep.er = 1
[[instance]]
name = ""
[[instance.source]]
token = ""
'''
LINES: list[tuple[Path, int]] = [
    (("title",), 2),
    (("quoted key",), 3),
    (("quoted key", "lit.eral"), 3),
    (("table",), 5),
    (("table", "escaped"), 6),
    (("table", "literal"), 9),
    (("table", "list"), 11),
    (("table", "list", 0), 12),
    (("table", "list", 1, 1), 13),
    (("table", "list", 2, "x"), 14),
    (("table", "list", 2, "y", "z", 0), 15),
    (("table", "empty"), 17),
    (("table", "none"), 18),
    (("instance",), 20),
    (("instance", 0), 20),
    (("instance", 0, "name"), 21),
    (("instance", 0, "source", 0, "kind"), 23),
    (("instance", 0, "source", 1), 24),
    (("instance", 0, "source", 1, "kind"), 25),
    (("instance", 0, "extra", "deep", "er"), 27),
    (("instance", 1), 28),
    (("instance", 1, "source", 0, "token"), 31),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_every_shape_of_key_has_its_line(path: Path, line: int) -> None:
    assert tomllib.loads(TEXT)
    assert line_of(TEXT, path) == line
    assert line_of(TEXT.replace("\n", "\r\n"), path) == line


def test_what_is_missing_has_the_line_of_what_is_around_it() -> None:
    assert line_of(TEXT, ("instance", 1, "source", 0, "kind")) == 30
    assert line_of(TEXT, ("instance", 7, "name")) == 20
    assert line_of(TEXT, ("nowhere", "at", "all")) is None
    assert line_of("", ("x",)) is None


_key = st.text("ab.'\"\\# ]", max_size=4)
_scalar = st.one_of(st.booleans(), st.integers(-9, 9), st.text("ab'\"\\#=[]{},", max_size=5))


def _written(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _written(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(k)} = {_value(v)}" for k, v in value.items()) + "}"
    return str(value)


def _paths(value: Any, path: Path) -> list[Path]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return [path]
    return [path] + [each for key, item in items for each in _paths(item, (*path, key))]


_any_value = st.recursive(
    _scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_key, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(_key, _any_value, max_size=5))
def test_every_path_of_any_text_with_a_key_a_line_is_found_on_its_line(
    values: dict[str, Any],
) -> None:
    text = "".join(f"{_written(key)} = {_value(value)}\n" for key, value in values.items())
    assert tomllib.loads(text) == values
    for number, (key, value) in enumerate(values.items(), 1):
        for path in _paths(value, (key,)):
            assert line_of(text, path) == number
