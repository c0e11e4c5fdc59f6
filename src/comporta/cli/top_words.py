"""The tables of `comporta top` in words: headings, units and the line of totals."""

from collections.abc import Sequence

from comporta.cli.screen import Column, Row
from comporta.cli.top_picture import DestinationRow, InstanceRow, Totals
from comporta.i18n import _

_MS_BELOW_S = 1.0
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def headline(totals: Totals) -> list[str]:
    """The totals, in two lines."""
    came = _(
        "accepted {accepted}/s   refused {refused}/s   delivered {delivered}/s   failed {failed}/s"
        "   acknowledged in {median} (99 %: {high})"
    )
    waits = _(
        "log {lag}   lanes waiting {lanes}   pending {pending}   scheduled {scheduled}"
        "   dead {dead}   oldest {oldest}   spool {spool}   disk full in {left}   workers {workers}"
    )
    return [
        came.format(
            accepted=number(totals.accepted_per_s),
            refused=number(totals.refused_per_s),
            delivered=number(totals.delivered_per_s),
            failed=number(totals.failed_per_s),
            median=span(totals.ack_median_s),
            high=span(totals.ack_p99_s),
        ),
        waits.format(
            lag=number(totals.log_lag),
            lanes=number(totals.lanes_waiting),
            pending=number(totals.pending),
            scheduled=number(totals.scheduled),
            dead=number(totals.dead),
            oldest=span(totals.oldest_open_age_s),
            spool=number(totals.spooled),
            left=span(totals.disk_left_s),
            workers=number(totals.workers),
        ),
    ]


def instance_columns() -> tuple[Column, ...]:
    """What is shown of each instance."""
    return (
        Column("instance", _("INSTANCE")),
        Column("events", _("EVENTS/S"), right=True),
        Column("repeats", _("REPEATS/S"), right=True),
        Column("last", _("LAST EVENT"), right=True),
        Column("lag", _("CHATWOOT LAG"), right=True),
        Column("clock", _("CLOCK"), right=True),
    )


def destination_columns() -> tuple[Column, ...]:
    """What is shown of each destination."""
    return (
        Column("destination", _("DESTINATION")),
        Column("delivered", _("DELIVERED/S"), right=True),
        Column("failed", _("FAILED/S"), right=True),
        Column("retries", _("RETRIES/S"), right=True),
        Column("dead", _("DEAD/S"), right=True),
        Column("attempt", _("ATTEMPT"), right=True),
        Column("lag", _("LAG"), right=True),
        Column("breaker", _("BREAKER")),
    )


def instance_cells(rows: Sequence[InstanceRow]) -> list[Row]:
    """The rows of instances, in words."""
    return [
        {
            "instance": row.instance,
            "events": number(row.events_per_s),
            "repeats": number(row.repeats_per_s),
            "last": span(row.last_event_age_s),
            "lag": span(row.chatwoot_lag_s),
            "clock": span(row.clock_offset_s),
        }
        for row in rows
    ]


def destination_cells(rows: Sequence[DestinationRow]) -> list[Row]:
    """The rows of destinations, in words."""
    words = {"closed": _("closed"), "half_open": _("half-open"), "open": _("open")}
    return [
        {
            "destination": row.destination,
            "delivered": number(row.delivered_per_s),
            "failed": number(row.failed_per_s),
            "retries": number(row.retries_per_s),
            "dead": number(row.dead_per_s),
            "attempt": span(row.attempt_s),
            "lag": span(row.delivery_lag_s),
            "breaker": words.get(row.breaker or "", ""),
        }
        for row in rows
    ]


def number(value: float | None) -> str:
    """A rate or a count, short; `-` for what is not known."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.1f}"  # noqa: PLR2004


def span(seconds: float | None) -> str:
    """A duration in the unit that suits it; `-` for what is not known."""
    if seconds is None:
        return "-"
    size = abs(seconds)
    if size < _MS_BELOW_S:
        return f"{seconds * 1000:.0f} ms"
    if size < 2 * _MINUTE_S:
        return f"{seconds:.1f} s"
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if size >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
