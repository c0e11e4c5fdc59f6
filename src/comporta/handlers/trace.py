"""Tracebacks and stacks of a user's code as text: frames only, no values of variables, bounded."""

import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType, TracebackType

BYTES_MAX = 20_000
SUMMARY_CHARS_MAX = 200
FRAMES_MAX = 50
_OURS = str(Path(__file__).parents[1])
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")})


def traceback_of(problem: BaseException) -> bytes:
    """The traceback from the user's first frame on; of a long one the end, where the cause is."""
    seen = problem.__traceback__
    while seen is not None and seen.tb_frame.f_code.co_filename.startswith(_OURS):
        seen = seen.tb_next
    text = "".join(traceback.TracebackException(type(problem), problem, seen).format())
    return text.strip().encode(errors="replace")[-BYTES_MAX:]


def summary_of(problem: BaseException) -> str:
    """`ValueError: no such order`, in one line."""
    if isinstance(problem, SyntaxError):  # Python's own words for it would show the line as well
        return f"{type(problem).__name__}: {problem.msg}"[:SUMMARY_CHARS_MAX]
    lines = "".join(traceback.format_exception_only(problem)).split("\n")
    return " ".join(line.strip() for line in lines if line.strip())[:SUMMARY_CHARS_MAX]


def place_of(problem: BaseException) -> str:
    """`bot.py:12`: the deepest place of the user's own code, or of any code."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{problem.filename}:{problem.lineno or 1}"
    places = [(one.filename, one.lineno or 0) for one in _steps(problem.__traceback__)]
    return "{}:{}".format(*_deepest(places))


def _steps(seen: TracebackType | None) -> Iterable[traceback.FrameSummary]:
    return traceback.extract_tb(seen)


def _deepest(places: list[tuple[str, int]]) -> tuple[str, int]:
    own = [one for one in places if _is_own(one[0])]
    return (own or places or [("?", 0)])[-1]


def _is_own(file: str) -> bool:
    return not file.startswith(("<", _OURS, *_LIBRARIES))


def standing_at(frame: FrameType) -> tuple[str, int]:
    """File and line of the user's code that a thread is in."""
    places = [(one.filename, one.lineno or 0) for one in traceback.extract_stack(frame, FRAMES_MAX)]
    return _deepest(places)


def stack_of(frame: FrameType) -> str:
    """The stack of a thread from the user's first frame on, the latest call last."""
    frames = traceback.extract_stack(frame, FRAMES_MAX)
    first = next((i for i, one in enumerate(frames) if _is_own(one.filename)), 0)
    return "".join(traceback.StackSummary.from_list(frames[first:]).format())[-BYTES_MAX:]
