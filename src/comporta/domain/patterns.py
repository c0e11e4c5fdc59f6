"""Regular expressions of operators, searched for in texts of strangers: RE2, and its bounds. Pure.

RE2 searches in time that is linear in the text, whatever the pattern (https://github.com/google/re2);
how steep the line is depends on the pattern, and is bounded here.
"""

from collections.abc import Callable

import re2  # type: ignore[import-untyped]

PATTERN_CHARS_MAX = 1000
PROGRAM_MAX = 2500
"""Steps of a compiled pattern: two letters of any language (`\\pL`) take 2400."""
_MEMORY_BYTES_MAX = 8 * 1024**2
"""Of one pattern. With much less RE2 becomes slow, for it cannot keep what it has learnt."""


class PatternError(ValueError):
    """A pattern that cannot be used; the message says why, in RE2's words."""


def searcher(pattern: str) -> Callable[[bytes], object]:
    """What finds a pattern in a text (UTF-8): None where it is not.

    Raises:
        PatternError: it is no regular expression, or too large a one.
    """
    if len(pattern) > PATTERN_CHARS_MAX:
        raise PatternError(f"longer than {PATTERN_CHARS_MAX} characters")
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES_MAX
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(said) from None
    if compiled.programsize > PROGRAM_MAX:
        raise PatternError("pattern too large")
    search: Callable[[bytes], object] = compiled.search
    return search


def pattern_problem(pattern: str) -> str:
    """Why a pattern cannot be used, in RE2's words; "" if it can."""
    try:
        searcher(pattern)
    except PatternError as error:
        return str(error)
    return ""
