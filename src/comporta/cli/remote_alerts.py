"""The alerts of a running gateway, asked through its admin API."""

from typing import Any
from urllib.parse import quote

from comporta.alerting.model import Alert, Finding, Kind, Severity
from comporta.cli.remote_http import Connection
from comporta.cli.remote_ledger import millis


class RemoteAlerts:
    """What people ask of alerts; see `comporta.operating.alerts.AlertService`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, over: bool = False) -> list[Alert]:
        """Those that are open, newest first; with `over` also those of the last days."""
        rows = (await self._connection.get("/alerts", over=over))["items"]
        return [_alert(row) for row in rows]

    async def acknowledge(self, name: str, who: str, now_ms: int) -> Alert:
        """Put on record that somebody knows of an open one, by the name of the API key."""
        del who, now_ms
        path = f"/alerts/{quote(name, safe='')}/acknowledge"
        return _alert(await self._connection.post(path, {}))


def _alert(row: dict[str, Any]) -> Alert:
    kind, severity = Kind(row["kind"]), Severity(row["severity"])
    opened_at_ms = millis(row["opened_at"])
    return Alert(
        Finding(kind, row["subject"], severity, row["values"]),
        seen_at_ms=opened_at_ms,
        found_at_ms=opened_at_ms,
        opened_at_ms=opened_at_ms,
        acked_at_ms=millis(row["acknowledged_at"]),
        acked_by=row["acknowledged_by"],
        resolved_at_ms=millis(row["resolved_at"]),
    )
