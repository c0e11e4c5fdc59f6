"""How much comes in: what is asked for, and the events that follow from it. Pure.

What a conversation amounts to is derived from Chatwoot 4.15.1 (which event each callback sends) and
from its own sizing page; whoever knows better gives events a second.
"""

from math import isfinite
from typing import Final

import msgspec

from comporta.i18n import _

MESSAGES_A_CONVERSATION: Final = 10
EVENTS_A_MESSAGE: Final = 4.5
"""With every event subscribed: the message, its updates, those of conversation and contact."""
CONVERSATIONS_A_DAY: Final = 300
"""Of one instance, where nothing is said: a small shop."""
PEAK_FACTOR: Final = 5.0
"""The busiest minute over the mean of a day, where nothing is said: 25/s where 5/s are usual."""
BODY_BYTES: Final = 5_000
"""Of a body; usual ones have 2 to 12 kB."""
DAY_S: Final = 86_400

BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "instances": (1, 100_000),
    "conversations_a_day": (1, 1_000_000_000),
    "events_a_second": (0.0001, 1_000_000),
    "peak_factor": (1, 1_000),
    "cpus": (1, 1_024),
    "memory_gib": (0.25, 65_536),
    "keep_days": (1, 3_650),
}
"""What can be asked for: least and most."""


class Asked(msgspec.Struct, frozen=True):
    """What a plan is to be made for. Every number is within `BOUNDS`.

    Raises:
        ValueError: one is not.
    """

    instances: int
    """Chatwoot installations."""
    events_a_second: float
    """On average, over all instances."""
    peak_factor: float
    """The busiest minute over that average."""
    cpus: int
    """Of each server."""
    memory_gib: float
    """Of each server."""
    keep_days: int
    """How long bodies are kept."""
    keep_events_days: int = 30
    """How long the rest of an event is kept; bodies are never kept longer."""

    def __post_init__(self) -> None:
        """Refuse what is out of bounds."""
        for name in ("instances", "events_a_second", "peak_factor", "cpus", "memory_gib"):
            if problem := problem_with(name, getattr(self, name)):
                raise ValueError(f"{name}: {problem}")
        if problem := problem_with("keep_days", self.keep_days):
            raise ValueError(f"keep_days: {problem}")

    @property
    def peak_per_s(self) -> float:
        """Events a second in the busiest minute."""
        return self.events_a_second * self.peak_factor

    @property
    def events_a_day(self) -> float:
        """Over all instances."""
        return self.events_a_second * DAY_S


def problem_with(name: str, value: float) -> str:
    """Why a number cannot be planned with, as a sentence; "" if it can."""
    least, most = BOUNDS[name]
    if isfinite(value) and least <= value <= most:
        return ""
    return _("it has to be from {least} to {most}").format(least=f"{least:g}", most=f"{most:.0f}")


def events_a_second(conversations_a_day: float) -> float:
    """The events of so many conversations, on average over the day."""
    return conversations_a_day * MESSAGES_A_CONVERSATION * EVENTS_A_MESSAGE / DAY_S
