"""The conditions of `where`: what they are called, what they ask for, and a closure for each. Pure.

A condition is a key and values. The key is a field (`inbox_id`), a field and how to look at it
(`labels.any`, `content.prefix`), or one of these behind `not.`. Any of the values is enough, but
for `labels.all`. What an event does not have holds for nothing, and so for every `not`.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import get_args

import msgspec

from comporta.domain.event import Attribute, Fields
from comporta.domain.fleet import Scalar
from comporta.domain.patterns import PatternError, searcher

NOT = "not."
ATTRIBUTE = "custom_attributes."
CONDITIONS_MAX = 50
"""Of one route."""
PATTERNS_MAX = 10
"""Regular expressions of one condition."""
_PARTS: dict[str, tuple[str, ...]] = {
    "labels": ("any", "all"),
    "content": ("exact", "prefix", "regex"),
}
"""Fields that are not asked for as a whole, and how they may be looked at."""
_SCALARS: dict[str, type[Scalar]] = {
    field.name: get_args(field.type)[0]
    for field in msgspec.structs.fields(Fields)
    if field.name not in {*_PARTS, "custom_attributes"}
}
CONDITIONS: tuple[str, ...] = (
    *_SCALARS,
    *(f"{field}.{part}" for field, parts in _PARTS.items() for part in parts),
    f"{ATTRIBUTE}NAME",
)
"""Every key, without `not.`; NAME stands for an attribute's name."""

Found = Attribute | tuple[str, ...] | None
"""What an event has where a condition looks; None: nothing."""
Read = Callable[[Fields], Found]
Holds = Callable[[Fields], bool]


class ConditionError(ValueError):
    """A condition that this version does not know."""


class Asked(msgspec.Struct, frozen=True):
    """A condition's key, taken apart."""

    field: str
    """Of `Fields`."""
    part: str = ""
    """`any`, `all`, `exact`, `prefix`, `regex`, the attribute's name, or "" for a plain field."""
    negated: bool = False

    @property
    def type(self) -> type[Scalar] | None:
        """What its values must be; None: whatever a custom attribute may be."""
        return None if self.field == "custom_attributes" else _SCALARS.get(self.field, str)

    @property
    def regex(self) -> bool:
        """Whether its values are regular expressions."""
        return (self.field, self.part) == ("content", "regex")


class Condition(msgspec.Struct, frozen=True):
    """A condition, compiled."""

    key: str
    wanted: tuple[Scalar, ...]
    read: Read
    holds: Holds


def ask(key: str) -> Asked | None:
    """A key taken apart; None: there is no such condition."""
    plain = key.removeprefix(NOT)
    negated = plain != key
    if plain in _SCALARS:
        return Asked(plain, negated=negated)
    field, _dot, part = plain.partition(".")
    if part and (field == "custom_attributes" or part in _PARTS.get(field, ())):
        return Asked(field, part, negated)
    return None


def compile_condition(key: str, wanted: tuple[Scalar, ...]) -> Condition:
    """A condition of a route.

    Raises:
        ConditionError: there is no such condition.
        PatternError: a regular expression cannot be used.
    """
    asked = ask(key)
    if asked is None:
        raise ConditionError(f"there is no condition {key!r}")
    read = _reader(asked)
    make = _MAKERS.get((asked.field, asked.part), _is_any)
    holds = make(read, wanted)
    return Condition(key, wanted, read, _negated(holds) if asked.negated else holds)


def compile_where(where: Mapping[str, tuple[Scalar, ...]]) -> tuple[Condition, ...]:
    """All conditions of a route. One that cannot be compiled raises when an event asks it.

    They are checked before a fleet is stored, so it was a newer version that stored this one. What
    is for its other routes must go on, and nothing may be lost.
    """
    return tuple(_compiled_or_raising(key, wanted) for key, wanted in where.items())


def _compiled_or_raising(key: str, wanted: tuple[Scalar, ...]) -> Condition:
    try:
        return compile_condition(key, wanted)
    except (ConditionError, PatternError) as error:
        return Condition(key, wanted, lambda _fields: None, _raising(str(error)))


def _raising(message: str) -> Holds:
    def holds(_fields: Fields) -> bool:
        raise ConditionError(message)

    return holds


def _reader(asked: Asked) -> Read:
    if asked.field != "custom_attributes":
        return attrgetter(asked.field)
    name = asked.part

    def read(fields: Fields) -> Found:
        return fields.custom_attributes.get(name) if fields.custom_attributes else None

    return read


def _negated(holds: Holds) -> Holds:
    return lambda fields: not holds(fields)


def _is_any(read: Read, wanted: tuple[Scalar, ...]) -> Holds:
    # With its type: in Python True equals 1, in JSON it does not.
    allowed = frozenset((type(value), value) for value in wanted)

    def holds(fields: Fields) -> bool:
        value = read(fields)
        return (type(value), value) in allowed

    return holds


def _labels_any(read: Read, wanted: tuple[Scalar, ...]) -> Holds:
    allowed = frozenset(wanted)

    def holds(fields: Fields) -> bool:
        labels = read(fields)
        return isinstance(labels, tuple) and not allowed.isdisjoint(labels)

    return holds


def _labels_all(read: Read, wanted: tuple[Scalar, ...]) -> Holds:
    needed = frozenset(wanted)

    def holds(fields: Fields) -> bool:
        labels = read(fields)
        return isinstance(labels, tuple) and needed.issubset(labels)

    return holds


def _begins(read: Read, wanted: tuple[Scalar, ...]) -> Holds:
    prefixes = tuple(str(value) for value in wanted)

    def holds(fields: Fields) -> bool:
        text = read(fields)
        return isinstance(text, str) and text.startswith(prefixes)

    return holds


def _fits_pattern(read: Read, wanted: tuple[Scalar, ...]) -> Holds:
    searches = [searcher(str(value)) for value in wanted]

    def holds(fields: Fields) -> bool:
        text = read(fields)
        if not isinstance(text, str):
            return False
        encoded = text.encode()  # once for all; RE2 reads UTF-8
        return any(search(encoded) for search in searches)

    return holds


_MAKERS: dict[tuple[str, str], Callable[[Read, tuple[Scalar, ...]], Holds]] = {
    ("labels", "any"): _labels_any,
    ("labels", "all"): _labels_all,
    ("content", "prefix"): _begins,
    ("content", "regex"): _fits_pattern,
}
"""By field and part; whatever is not here asks for one of some values."""
