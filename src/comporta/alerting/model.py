"""What an alert is. Pure data; what becomes of it says `life`, how it is told `words`."""

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """Critical: events are at risk, or nothing gets through. Warning: somebody should look."""

    CRITICAL = "critical"
    WARNING = "warning"


class Kind(StrEnum):
    """What can be wrong."""

    STORE = "store"
    """A store does not answer."""
    FAILING = "failing"
    """Too many attempts at a destination fail."""
    SLOW = "slow"
    """Attempts at a destination take too long."""
    BREAKER = "breaker"
    """Everything fails at a destination."""
    LAG = "lag"
    """More events wait in the log than should."""
    WAITING = "waiting"
    """A delivery waits for too long."""
    DEAD = "dead"
    """There are dead letters."""
    REFUSED = "refused"
    """Many calls are refused."""
    LATE = "late"
    """A server answers Chatwoot too late."""
    SPOOL = "spool"
    """A server's spool is in use, for the log's server is away."""
    DISK = "disk"
    """A disk is nearly full."""
    SILENCE = "silence"
    """Nothing comes from an instance that is never so quiet."""
    NOTIFIER = "notifier"
    """A notifier cannot be reached."""
    FILE = "file"
    """The file of alerts cannot be used."""


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong now."""

    kind: Kind
    subject: str
    """What it is about: a name; "" if there is only one such thing."""
    severity: Severity
    values: dict[str, str | int | float] = {}
    """For the text."""

    @property
    def name(self) -> str:
        """What people acknowledge it by: `breaker:crm`, or `lag`."""
        return f"{self.kind}:{self.subject}" if self.subject else str(self.kind)


class Alert(msgspec.Struct, frozen=True):
    """A finding with its history. Moments are Unix milliseconds; 0: not yet."""

    finding: Finding
    seen_at_ms: int
    """When it was first found."""
    found_at_ms: int
    """When it was last found."""
    opened_at_ms: int = 0
    acked_at_ms: int = 0
    acked_by: str = ""
    resolved_at_ms: int = 0
    told: dict[str, int] = {}
    """Notifier → when it was last told that this is open."""
    ended: tuple[str, ...] = ()
    """The notifiers that were told that it is over."""

    @property
    def name(self) -> str:
        """See `Finding.name`."""
        return self.finding.name

    @property
    def is_open(self) -> bool:
        """Whether it is to be told, or was."""
        return self.opened_at_ms > 0 and not self.resolved_at_ms


class Notice(msgspec.Struct, frozen=True):
    """What one notifier is told at once."""

    opened: tuple[Alert, ...] = ()
    again: tuple[Alert, ...] = ()
    """Still open, and nobody has acknowledged it."""
    resolved: tuple[Alert, ...] = ()

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All of them."""
        return (*self.opened, *self.again, *self.resolved)
