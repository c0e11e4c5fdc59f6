"""Helping people who mistyped a name. Pure functions; everything returned is translated."""

import difflib
from collections.abc import Iterable

from comporta.i18n import _

_WORD_MAX = 100


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.6) -> str:
    """The choice that looks most like `word`, or "".

    Args:
        word: what was typed; only its first 100 characters count.
        choices: what could have been meant.
        cutoff: from 0 (anything) to 1 (the same), as in `difflib`.
    """
    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word[:_WORD_MAX].lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else ""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`Did you mean "port"?`, or "" where nothing comes near."""
    near = nearest(word, choices)
    return _('Did you mean "{name}"?').format(name=near) if near else ""
