"""What `comporta top` shows, worked out from the pages of `/metrics`: pure, prints nothing.

Rates and percentiles are over the time between two pages of a gateway. What is in trouble stands
first: breakers that are not closed, failures, lag, clocks that differ.
"""

from collections.abc import Sequence

import msgspec

from comporta.telemetry import metric_defs as defs
from comporta.telemetry.metric_defs import MetricDef
from comporta.telemetry.scraped import Found, Series, merged, quantile, rates, total

LATE_S = 5.0
"""Chatwoot waits so long for an answer; a lag or a clock that is further off is trouble."""
HIGH = 0.95
_BREAKERS = ("closed", "half_open", "open")
_FINE = {"delivered", "discarded"}


class View(msgspec.Struct, frozen=True):
    """Two pages of one gateway, and how far apart they are. Without `before` there are no rates."""

    now: Found
    before: Found | None = None
    over_s: float = 1.0


class Totals(msgspec.Struct, frozen=True):
    """Of all gateways. None: not known, or nothing to measure it by."""

    accepted_per_s: float
    refused_per_s: float
    delivered_per_s: float
    failed_per_s: float
    ack_median_s: float | None
    ack_p99_s: float | None
    log_lag: int | None
    oldest_open_age_s: float | None
    lanes_waiting: int | None
    pending: int | None
    scheduled: int | None
    dead: int | None
    spooled: int | None
    disk_left_s: float | None
    workers: int | None


class InstanceRow(msgspec.Struct, frozen=True):
    """One Chatwoot."""

    instance: str
    events_per_s: float
    repeats_per_s: float
    last_event_age_s: float | None
    chatwoot_lag_s: float | None
    clock_offset_s: float | None

    @property
    def late_s(self) -> float:
        """How far its lag or its clock is off, if that is trouble."""
        worst_s = max(self.chatwoot_lag_s or 0.0, abs(self.clock_offset_s or 0.0))
        return worst_s if worst_s > LATE_S else 0.0

    @property
    def in_trouble(self) -> bool:
        """Whether somebody should look."""
        return bool(self.late_s)

    @property
    def order(self) -> tuple[float, float, str]:
        """Who is late, or has another time, stands first; then who is busy."""
        return (-self.late_s, -self.events_per_s, self.instance)


class DestinationRow(msgspec.Struct, frozen=True):
    """One destination. Attempts and lags are those that 95 % did not exceed."""

    destination: str
    delivered_per_s: float
    failed_per_s: float
    retries_per_s: float
    dead_per_s: float
    attempt_s: float | None
    delivery_lag_s: float | None
    breaker: str | None

    @property
    def _trouble(self) -> tuple[float, float, float]:
        breaker = _BREAKERS.index(self.breaker) if self.breaker else 0
        lag_s = self.delivery_lag_s or 0.0
        return (-breaker, -self.failed_per_s, -lag_s if lag_s > LATE_S else 0.0)

    @property
    def in_trouble(self) -> bool:
        """Whether somebody should look."""
        return any(self._trouble)

    @property
    def order(self) -> tuple[tuple[float, float, float], float, str]:
        """What fails stands first; then what is late; then what is busy."""
        return (self._trouble, -self.delivered_per_s, self.destination)


class Picture(msgspec.Struct, frozen=True):
    """Everything at one moment."""

    totals: Totals
    instances: tuple[InstanceRow, ...]
    destinations: tuple[DestinationRow, ...]


def picture(views: Sequence[View], now_s: float) -> Picture:
    """The gateways as one. `now_s`: Unix seconds."""
    now = merged(view.now for view in views)
    rising = merged(rates(v.before, v.now, v.over_s) for v in views if v.before is not None)
    instances = (_instance(name, now, rising, now_s) for name in _names(now, "chatwoot"))
    destinations = (_destination(name, now, rising) for name in _names(now, "destination"))
    return Picture(
        _totals(now, rising),
        tuple(sorted(instances, key=lambda row: row.order)),
        tuple(sorted(destinations, key=lambda row: row.order)),
    )


def _totals(now: Found, rising: Found) -> Totals:
    ack = rising.get(defs.ACK_SECONDS.name, {}).get((), [])
    outcomes = rising.get(defs.DELIVERIES.name, {})
    return Totals(
        accepted_per_s=_sum(rising, defs.EVENTS_ACCEPTED),
        refused_per_s=_sum(rising, defs.REQUESTS_REFUSED),
        delivered_per_s=sum(n for (_to, how), (n,) in outcomes.items() if how == "delivered"),
        failed_per_s=sum(n for (_to, how), (n,) in outcomes.items() if how not in _FINE),
        ack_median_s=quantile(defs.ACK_SECONDS, ack, 0.5),
        ack_p99_s=quantile(defs.ACK_SECONDS, ack, 0.99),
        log_lag=_whole(now, defs.LOG_LAG_ENTRIES),
        oldest_open_age_s=_level(now, defs.OLDEST_OPEN_AGE_SECONDS),
        lanes_waiting=_whole(now, defs.LANES_WAITING),
        pending=_whole(now, defs.DELIVERIES_PENDING),
        scheduled=_whole(now, defs.DELIVERIES_SCHEDULED),
        dead=_whole(now, defs.DELIVERIES_DEAD),
        spooled=_whole(now, defs.SPOOL_ENTRIES),
        disk_left_s=_level(now, defs.DISK_LEFT_SECONDS),
        workers=_whole(now, defs.WORKERS),
    )


def _instance(name: str, now: Found, rising: Found, now_s: float) -> InstanceRow:
    last_s = _level(now, defs.LAST_EVENT, (name,))
    lags = rising.get(defs.CHATWOOT_LAG.name, {}).get((name,), [])
    return InstanceRow(
        instance=name,
        events_per_s=_sum(rising, defs.EVENTS_ACCEPTED, name),
        repeats_per_s=_sum(rising, defs.EVENTS_DUPLICATE, name),
        last_event_age_s=None if last_s is None else max(0.0, now_s - last_s),
        chatwoot_lag_s=quantile(defs.CHATWOOT_LAG, lags, HIGH),
        clock_offset_s=_level(now, defs.CLOCK_OFFSET, (name,)),
    )


def _destination(name: str, now: Found, rising: Found) -> DestinationRow:
    outcomes = {
        how: number
        for (to, how), (number,) in rising.get(defs.DELIVERIES.name, {}).items()
        if to == name
    }
    attempts = total(rising.get(defs.ATTEMPT_SECONDS.name, {}), 0, name)
    lags = rising.get(defs.DELIVERY_LAG_SECONDS.name, {}).get((name,), [])
    breaker = _level(now, defs.BREAKER_STATE, (name,))
    return DestinationRow(
        destination=name,
        delivered_per_s=outcomes.get("delivered", 0.0),
        failed_per_s=sum(number for how, number in outcomes.items() if how not in _FINE),
        retries_per_s=_sum(rising, defs.RETRIES, name),
        dead_per_s=_sum(rising, defs.DEAD_LETTERS, name),
        attempt_s=quantile(defs.ATTEMPT_SECONDS, attempts, HIGH),
        delivery_lag_s=quantile(defs.DELIVERY_LAG_SECONDS, lags, HIGH),
        breaker=None if breaker is None else _BREAKERS[min(int(breaker), 2)],
    )


def _names(now: Found, label: str) -> set[str]:
    """All values of a label that is the first of its metrics."""
    made = [one for one in defs.METRICS if one.labels[:1] == (label,)]
    return {labels[0] for one in made for labels in now.get(one.name, {})}


def _sum(found: Found, definition: MetricDef, name: str | None = None) -> float:
    series: Series = found.get(definition.name, {})
    return sum(n for labels, (n,) in series.items() if name is None or labels[0] == name)


def _level(now: Found, definition: MetricDef, labels: tuple[str, ...] = ()) -> float | None:
    values = now.get(definition.name, {}).get(labels)
    return None if values is None else values[0]


def _whole(now: Found, definition: MetricDef) -> int | None:
    value = _level(now, definition)
    return None if value is None else int(value)
