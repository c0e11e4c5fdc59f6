"""What a server may do; one does everything, unless it is told otherwise."""

from enum import StrEnum


class Role(StrEnum):
    """A part of the work."""

    INGEST = "ingest"
    """Takes webhooks in."""
    DISPATCH = "dispatch"
    """Delivers, with a process of its own beside each worker."""
    CONSOLE = "console"
    """Answers the admin API."""
    MAINTAIN = "maintain"
    """Forgets what is old: one process of all servers at a time."""


ALL = frozenset(Role)


def read_roles(text: str) -> frozenset[Role]:
    """The roles of a text such as `ingest,console`.

    Raises:
        ValueError: with the first word that is none as its only argument; "" if there is no word.
    """
    words = [word.strip().lower() for word in text.split(",")]
    known = {role.value for role in Role}
    wrong = next((word for word in words if word not in known), None)
    if wrong is not None:
        raise ValueError(wrong)
    return frozenset(Role(word) for word in words)
