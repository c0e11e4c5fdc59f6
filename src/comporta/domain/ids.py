"""Identifiers: sortable, prefixed, short enough to be read over the telephone.

Event and delivery ids are 63-bit integers: 41 bits of milliseconds since 2024-01-01 UTC, 8 bits of
partition, 14 bits of counter. A partition has one owner at a time, so ids are unique without asking
anybody, rise within a partition, and serve as primary key, order and public name at once.
People see them as `evt_` + 13 characters of Crockford base 32.
"""

import secrets

EPOCH_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z in Unix milliseconds."""

PARTITIONS_MAX = 256
_COUNTER_BITS = 14
_LOW_BITS = 22
_MILLIS_MAX = 2**41 - 1
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_VALUES |= {"i": 1, "l": 1, "o": 0}
_WIDTH = 13
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


class IdMaker:
    """Makes rising ids for one partition, whatever the clock does.

    Args:
        partition: 0 to 255.
        last: the highest id known to exist in this partition, 0 if none.
    """

    def __init__(self, partition: int, last: int = 0) -> None:
        if not 0 <= partition < PARTITIONS_MAX:
            raise ValueError(f"partition {partition} is not in 0..{PARTITIONS_MAX - 1}")
        self._partition = partition
        self._stamp = last >> _LOW_BITS
        # A clock that is not set yet makes 1 the first counter, for 0 is no id.
        self._counter = last & ((1 << _COUNTER_BITS) - 1)

    def next(self, now_ms: int) -> int:
        """The next id. `now_ms`: Unix milliseconds; earlier than the last one is tolerated."""
        stamp = now_ms - EPOCH_MS
        if stamp > self._stamp:
            self._stamp, self._counter = stamp, 0
        elif self._counter + 1 < 1 << _COUNTER_BITS:
            self._counter += 1
        else:
            self._stamp, self._counter = self._stamp + 1, 0
        return self._stamp << _LOW_BITS | self._partition << _COUNTER_BITS | self._counter


def millis_of(number: int) -> int:
    """Unix milliseconds at which an event or delivery id was made."""
    return (number >> _LOW_BITS) + EPOCH_MS


def partition_of(number: int) -> int:
    """The partition that an event or delivery id was made in."""
    return number >> _COUNTER_BITS & PARTITIONS_MAX - 1


def first_at(at_ms: int) -> int:
    """The smallest id that can be made at or after `at_ms` (Unix milliseconds, any number)."""
    return min(max(0, at_ms - EPOCH_MS), _MILLIS_MAX) << _LOW_BITS


def show(prefix: str, number: int) -> str:
    """`show("evt", 5)` → `evt_0000000000005`."""
    return (
        f"{prefix}_{_ALPHABET[number >> 60 & 31]}{_PAIRS[number >> 50 & 1023]}"
        f"{_PAIRS[number >> 40 & 1023]}{_PAIRS[number >> 30 & 1023]}{_PAIRS[number >> 20 & 1023]}"
        f"{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"
    )


def parse(prefix: str, text: str) -> int:
    """The number behind a public id.

    Raises:
        ValueError: another prefix, or not an id at all.
    """
    head, _, tail = text.strip().lower().partition("_")
    if head != prefix or len(tail) != _WIDTH or any(letter not in _VALUES for letter in tail):
        raise ValueError(f"{text!r} is not an id of the form {prefix}_ and {_WIDTH} characters")
    number = 0
    for letter in tail:
        number = number << 5 | _VALUES[letter]
    if number >> 63:
        raise ValueError(f"{text!r} is not an id of the form {prefix}_ and {_WIDTH} characters")
    return number


def fresh(prefix: str) -> str:
    """A random id for a thing of the fleet: `fresh("ins")` → `ins_` + 10 characters (50 bits)."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(10))}"
