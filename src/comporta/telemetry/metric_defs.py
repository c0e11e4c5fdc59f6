"""Every metric of the gateway, in one typed list with its meaning.

`/metrics`, the tables of docs/metrics.md (`comporta.telemetry.reference`) and tests come from it.
Names are `comporta_<noun>_<unit>`, counters end in `_total`. Labels come from `LABELS` only, and
each has a limit of distinct values; what goes beyond it is counted as "other". No id is ever a
label, and none is called `instance`: Prometheus owns that name and would rename ours.
"""

from enum import StrEnum

import msgspec


def _(message: str) -> str:
    """Marks a text for translation; it is translated where it is shown."""
    return message


LABELS: dict[str, int] = {
    "chatwoot": 1024,
    "source_kind": 8,
    "event_type": 64,
    "destination": 1024,
    "outcome": 16,
    "status": 32,
    "reason": 64,
    "queue": 8,
    "version": 4,
    "alert": 16,
    "notifier": 32,
}
"""Label name → how many distinct values one process shows. `chatwoot` is the instance's name."""

OTHER = "other"
"""The value that stands for all those beyond a label's limit."""


class Kind(StrEnum):
    """What a metric is to Prometheus, and who provides its value.

    A `reading` is a gauge that is asked from the stores when somebody scrapes; the others are
    updated where things happen.
    """

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"
    READING = "reading"


class Scope(StrEnum):
    """Whose value it is, where several servers share the stores."""

    SERVER = "server"
    """Each server shows its own."""
    SHARED = "shared"
    """Every server shows the same, for it is asked from what they share: never to be summed."""


class Merge(StrEnum):
    """How the values of one server's processes become one."""

    SUM = "sum"
    MAX = "max"
    LATEST = "latest"
    """The one that was set last."""


class MetricDef(msgspec.Struct, frozen=True):
    """One metric. `buckets` are upper bounds in the metric's unit; histograms only."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    scope: Scope = Scope.SERVER
    merge: Merge = Merge.SUM

    @property
    def over_servers(self) -> str:
        """The operator of PromQL that makes one value of those of several servers: sum or max."""
        summed = self.scope is Scope.SERVER and self.merge is Merge.SUM
        return "sum" if summed else "max"


FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Chatwoot gives up after 5 s; what is slower need not be told apart."""
SLOW_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_S = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(15.0, 60.0, 300.0, 1800.0, 7200.0, 36000.0),
)
ENTRIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
SIZES = tuple(float(1024 * 4**power) for power in range(8))
"""From 1 KiB to 16 MiB."""

EVENTS_ACCEPTED = MetricDef(
    "comporta_events_accepted_total",
    Kind.COUNTER,
    _("Events made durable and acknowledged to Chatwoot."),
    labels=(
        "chatwoot",
        "source_kind",
        "event_type",
    ),
)
ACCEPTED_BYTES = MetricDef(
    "comporta_accepted_bytes_total",
    Kind.COUNTER,
    _("Bytes of the bodies of accepted events."),
    labels=("chatwoot",),
)
BODY_BYTES = MetricDef(
    "comporta_body_bytes",
    Kind.HISTOGRAM,
    _("Size of the body of an accepted event."),
    buckets=SIZES,
)
ACK_SECONDS = MetricDef(
    "comporta_ack_seconds",
    Kind.HISTOGRAM,
    _(
        "From the arrival of a call, with its body if that is small, to its "
        "acknowledgement, durable write included."
    ),
    buckets=FAST_S,
)
LAST_EVENT = MetricDef(
    "comporta_last_event_timestamp_seconds",
    Kind.GAUGE,
    _("When an event of this instance was last accepted, Unix seconds; absent until one is."),
    labels=("chatwoot",),
    merge=Merge.MAX,
)
CLOCK_OFFSET = MetricDef(
    "comporta_clock_offset_seconds",
    Kind.GAUGE,
    _(
        "Our clock minus the time that Chatwoot signed, at the last call that was signed "
        "rightly; the way of the call is in it."
    ),
    labels=("chatwoot",),
    merge=Merge.LATEST,
)
REQUESTS_REFUSED = MetricDef(
    "comporta_requests_refused_total",
    Kind.COUNTER,
    _("Calls that were not accepted; the reasons are the names of the problems."),
    labels=(
        "status",
        "reason",
    ),
)
LOG_COMMITS = MetricDef(
    "comporta_log_commits_total",
    Kind.COUNTER,
    _("Durable writes of the log; each takes a batch."),
)
LOG_COMMIT_ENTRIES = MetricDef(
    "comporta_log_commit_entries",
    Kind.HISTOGRAM,
    _("Events that shared one durable write of the log."),
    buckets=ENTRIES,
)
LOG_COMMIT_SECONDS = MetricDef(
    "comporta_log_commit_seconds",
    Kind.HISTOGRAM,
    _("Duration of one durable write of the log."),
    buckets=FAST_S,
)
SPOOL_EVENTS = MetricDef(
    "comporta_spool_events_total",
    Kind.COUNTER,
    _(
        "Events that went into this server's spool (spooled), and out of it to the log's "
        "server (drained)."
    ),
    labels=("outcome",),
)
QUEUE_DEPTH = MetricDef(
    "comporta_queue_depth",
    Kind.GAUGE,
    _(
        "How full a queue in memory is: intake_bytes (accepted, not durable yet), "
        "deliveries (taken from the ledger), outcomes (not in the ledger yet)."
    ),
    labels=("queue",),
)
QUEUE_HIGH_WATER = MetricDef(
    "comporta_queue_high_water",
    Kind.GAUGE,
    _("How full that queue may be before it lets nothing more in."),
    labels=("queue",),
)
EVENTS_RECORDED = MetricDef(
    "comporta_events_recorded_total",
    Kind.COUNTER,
    _("Events taken over from the log into the ledger, repeats included."),
)
EVENTS_DUPLICATE = MetricDef(
    "comporta_events_duplicate_total",
    Kind.COUNTER,
    _("Recorded events that repeat an earlier one and were not delivered again."),
    labels=("chatwoot",),
)
CHATWOOT_LAG = MetricDef(
    "comporta_chatwoot_lag_seconds",
    Kind.HISTOGRAM,
    _(
        "From the moment at which Chatwoot made a message or conversation to the acceptance "
        "of the event that tells of it."
    ),
    labels=("chatwoot",),
    buckets=LAG_S,
)
DELIVERIES = MetricDef(
    "comporta_deliveries_total",
    Kind.COUNTER,
    _("Attempts, by the state in which they left their delivery."),
    labels=(
        "destination",
        "outcome",
    ),
)
ATTEMPT_SECONDS = MetricDef(
    "comporta_attempt_seconds",
    Kind.HISTOGRAM,
    _("Duration of one attempt at a delivery."),
    labels=(
        "destination",
        "outcome",
    ),
    buckets=SLOW_S,
)
RETRIES = MetricDef(
    "comporta_retries_total",
    Kind.COUNTER,
    _("Attempts at deliveries that had been tried before."),
    labels=("destination",),
)
DEAD_LETTERS = MetricDef(
    "comporta_dead_letters_total",
    Kind.COUNTER,
    _("Deliveries that were given up, and kept with their reason."),
    labels=("destination",),
)
DELIVERY_LAG_SECONDS = MetricDef(
    "comporta_delivery_lag_seconds",
    Kind.HISTOGRAM,
    _("From the acceptance of an event to its successful delivery, retries included."),
    labels=("destination",),
    buckets=LAG_S,
)
LANES_WAITING = MetricDef(
    "comporta_lanes_waiting",
    Kind.GAUGE,
    _(
        "Lanes that have something to deliver and wait: for a slot, a rate, a retry, a "
        "breaker, or a paused destination."
    ),
)
LEDGER_TRANSACTION_SECONDS = MetricDef(
    "comporta_ledger_transaction_seconds",
    Kind.HISTOGRAM,
    _("Duration of one write transaction of the ledger."),
    buckets=FAST_S,
)
HANDLER_BLOCKS = MetricDef(
    "comporta_handler_blocks_total",
    Kind.COUNTER,
    _("Times that a Python handler blocked the event loop of all handlers for a second or longer."),
    labels=("destination",),
)
NOTIFICATIONS = MetricDef(
    "comporta_notifications_total",
    Kind.COUNTER,
    _("Messages about alerts, by notifier and whether it took them (taken) or not (failed)."),
    labels=("notifier", "outcome"),
)
SPANS = MetricDef(
    "comporta_spans_total",
    Kind.COUNTER,
    _(
        "Spans of traces: taken by the collector (exported), refused by it or lost on the way"
        " (failed), or too many to wait (dropped)."
    ),
    labels=("outcome",),
)
PARTITIONS_OWNED = MetricDef(
    "comporta_partitions_owned",
    Kind.GAUGE,
    _("Partitions whose lease is held."),
)
BUILD_INFO = MetricDef(
    "comporta_build_info",
    Kind.READING,
    _("Always 1; its label says which version runs."),
    labels=("version",),
    merge=Merge.MAX,
)
SPOOL_ENTRIES = MetricDef(
    "comporta_spool_entries",
    Kind.READING,
    _(
        "Events in this server's spool that the log's server does not have yet; only with a "
        "log on a server elsewhere."
    ),
)
SPOOL_ACTIVE = MetricDef(
    "comporta_spool_active",
    Kind.READING,
    _(
        "1 while events go to this server's spool, 0 while they go to the log's server; "
        "only with a log on a server elsewhere."
    ),
    merge=Merge.MAX,
)
LOG_LAG_ENTRIES = MetricDef(
    "comporta_log_lag_entries",
    Kind.READING,
    _("Events in the log that the ledger does not have yet."),
    scope=Scope.SHARED,
)
DELIVERIES_PENDING = MetricDef(
    "comporta_deliveries_pending",
    Kind.READING,
    _("Deliveries never tried, or queued in their lane."),
    scope=Scope.SHARED,
)
DELIVERIES_SCHEDULED = MetricDef(
    "comporta_deliveries_scheduled",
    Kind.READING,
    _("Deliveries that wait for their next attempt."),
    scope=Scope.SHARED,
)
DELIVERIES_DEAD = MetricDef(
    "comporta_deliveries_dead",
    Kind.READING,
    _("Dead letters: given up, kept with their reason."),
    scope=Scope.SHARED,
)
OLDEST_OPEN_AGE_SECONDS = MetricDef(
    "comporta_oldest_open_age_seconds",
    Kind.READING,
    _(
        "Age of the oldest delivery that is still open, scheduled ones and those of paused "
        "destinations included; 0 if there is none."
    ),
    scope=Scope.SHARED,
)
BREAKER_STATE = MetricDef(
    "comporta_breaker_state",
    Kind.READING,
    _("The destination's circuit breaker: 0 closed, 1 half-open, 2 open."),
    labels=("destination",),
    scope=Scope.SHARED,
)
ALERTS_FIRING = MetricDef(
    "comporta_alerts_firing",
    Kind.READING,
    _("Open alerts of the built-in evaluator, by kind; acknowledged ones included."),
    labels=("alert",),
    scope=Scope.SHARED,
)
DESTINATIONS_DEFERRED = MetricDef(
    "comporta_destinations_deferred",
    Kind.READING,
    _("Destinations whose circuit breaker is not closed: their deliveries wait."),
    scope=Scope.SHARED,
)
WORKERS = MetricDef(
    "comporta_workers",
    Kind.READING,
    _("Workers that deliver, heard of within the last lease."),
    scope=Scope.SHARED,
)
STORED_BYTES = MetricDef(
    "comporta_stored_bytes",
    Kind.READING,
    _("Bytes in use in log and ledger, their files may be larger; sampled once an hour."),
    scope=Scope.SHARED,
)
STORED_GROWTH_BYTES = MetricDef(
    "comporta_stored_growth_bytes",
    Kind.READING,
    _("Bytes by which they grow in a day, over the last three days; absent for the first hour."),
    scope=Scope.SHARED,
)
DISK_FREE_BYTES = MetricDef(
    "comporta_disk_free_bytes",
    Kind.READING,
    _("Room on their disk, and free inside their files; sampled once an hour."),
    scope=Scope.SHARED,
)
DISK_LEFT_SECONDS = MetricDef(
    "comporta_disk_left_seconds",
    Kind.READING,
    _("Until the disk is full at that rate; absent while that is not in sight."),
    scope=Scope.SHARED,
)

METRICS: tuple[MetricDef, ...] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, MetricDef)
)
"""All that are defined above, in that order."""
