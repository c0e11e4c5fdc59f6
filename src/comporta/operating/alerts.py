"""Alerts as people deal with them: what is open, and that somebody knows of it."""

from comporta.alerting import kept
from comporta.alerting.model import Alert
from comporta.ledger.watching import Watching


class AlertService:
    """What may be done with alerts.

    Raises, from any operation:
        StoreUnavailableError: the ledger cannot be used right now.
    """

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    async def list(self, *, over: bool = False) -> list[Alert]:
        """Those that are open, newest first; with `over` also those of the last days."""
        found, _version = await kept.read(self._watching)
        shown = [one for one in found.alerts if one.is_open or (over and one.resolved_at_ms)]
        return sorted(shown, key=lambda one: one.opened_at_ms, reverse=True)

    async def acknowledge(self, name: str, who: str, now_ms: int) -> Alert:
        """Put on record that somebody knows of an open one; it is not told again.

        Raises:
            NotFoundError: none of this name is open.
            ConflictError: it is being changed again and again.
        """
        return await kept.acknowledge(self._watching, name, who, now_ms)
