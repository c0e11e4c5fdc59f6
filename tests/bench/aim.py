"""An aim, and the ways of stating one. No I/O."""

import msgspec


class Aim(msgspec.Struct, frozen=True):
    """An aim and what came of it."""

    what: str
    wanted: str
    got: str
    met: bool


def at_least(what: str, part: float, whole: float, wanted: float) -> Aim:
    """`part` is at least `wanted` times `whole`; never met if nothing was measured."""
    got = part / whole if whole else 0.0
    return Aim(what, f"≥ {wanted:g} ×", f"{got:.2f} ×", got >= wanted)


def at_most(what: str, part: float, whole: float, wanted: float) -> Aim:
    """`part` is at most `wanted` times `whole`; never met if nothing was measured."""
    got = part / whole if whole else 0.0
    return Aim(what, f"≤ {wanted:g} ×", f"{got:.2f} ×", 0 < got <= wanted)


def below(what: str, got: float, wanted: float) -> Aim:
    """`got` is less than `wanted` milliseconds; never met if nothing was measured."""
    return Aim(what, f"< {wanted:g} ms", f"{got:.1f} ms", 0 < got < wanted)


def none_of(what: str, names: str, *found: int) -> Aim:
    """Nothing of that kind happened. `names`: the kinds, as people read them."""
    zeros = " / ".join("0" for _ in found)
    return Aim(f"{what}: {names}", zeros, " / ".join(map(str, found)), not any(found))
