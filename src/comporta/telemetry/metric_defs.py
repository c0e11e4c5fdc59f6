"""Every metric of the gateway, in one typed list with its meaning.

Names are `comporta_<noun>_<unit>`, counters end in `_total`. Labels come from `LABELS` only, and
each has a limit of distinct values; what goes beyond it is counted as "other". No id is ever a
label, and none is called `instance`: Prometheus owns that name and would rename ours.
"""

from enum import StrEnum

import msgspec

LABELS: dict[str, int] = {
    "chatwoot": 1024,
    "event_type": 64,
    "destination": 1024,
    "outcome": 16,
    "status": 32,
    "reason": 64,
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


class MetricDef(msgspec.Struct, frozen=True):
    """One metric. `buckets` are upper bounds in the metric's unit; histograms only."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Chatwoot gives up after 5 s; what is slower need not be told apart."""
SLOW_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_S = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    15.0,
    60.0,
    300.0,
    1800.0,
    7200.0,
    36000.0,
)
ENTRIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

EVENTS_ACCEPTED = MetricDef(
    "comporta_events_accepted_total",
    Kind.COUNTER,
    "Events made durable and acknowledged to Chatwoot.",
    ("chatwoot", "event_type"),
)
ACCEPTED_BYTES = MetricDef(
    "comporta_accepted_bytes_total",
    Kind.COUNTER,
    "Bytes of the bodies of accepted events.",
    ("chatwoot",),
)
ACK_SECONDS = MetricDef(
    "comporta_ack_seconds",
    Kind.HISTOGRAM,
    "From a whole webhook call to its acknowledgement, durable write included.",
    buckets=FAST_S,
)
REQUESTS_REFUSED = MetricDef(
    "comporta_requests_refused_total",
    Kind.COUNTER,
    "Webhook calls that were not accepted, by HTTP status and reason.",
    ("status", "reason"),
)
LOG_COMMITS = MetricDef(
    "comporta_log_commits_total", Kind.COUNTER, "Durable writes of the log; each takes a batch."
)
LOG_COMMIT_ENTRIES = MetricDef(
    "comporta_log_commit_entries",
    Kind.HISTOGRAM,
    "Events that shared one durable write of the log.",
    buckets=ENTRIES,
)
LOG_COMMIT_SECONDS = MetricDef(
    "comporta_log_commit_seconds",
    Kind.HISTOGRAM,
    "Duration of one durable write of the log.",
    buckets=FAST_S,
)
SPOOL_EVENTS = MetricDef(
    "comporta_spool_events_total",
    Kind.COUNTER,
    "Events that went into the spool (spooled), and out of it to the log's server (drained).",
    ("outcome",),
)
EVENTS_RECORDED = MetricDef(
    "comporta_events_recorded_total",
    Kind.COUNTER,
    "Events that dispatch took over from the log into the ledger, repeats included.",
)
EVENTS_DUPLICATE = MetricDef(
    "comporta_events_duplicate_total",
    Kind.COUNTER,
    "Recorded events that repeat an earlier one and were therefore not delivered again.",
)
DELIVERIES = MetricDef(
    "comporta_deliveries_total",
    Kind.COUNTER,
    "Attempts by what became of their delivery: delivered, scheduled, dead, or pending (410).",
    ("destination", "outcome"),
)
ATTEMPT_SECONDS = MetricDef(
    "comporta_attempt_seconds",
    Kind.HISTOGRAM,
    "Duration of one attempt at a delivery.",
    ("destination",),
    SLOW_S,
)
DELIVERY_LAG_SECONDS = MetricDef(
    "comporta_delivery_lag_seconds",
    Kind.HISTOGRAM,
    "From the acceptance of an event to its successful delivery, retries included.",
    buckets=LAG_S,
)
LEDGER_TRANSACTION_SECONDS = MetricDef(
    "comporta_ledger_transaction_seconds",
    Kind.HISTOGRAM,
    "Duration of one write transaction of the ledger.",
    buckets=FAST_S,
)
HANDLER_BLOCKS = MetricDef(
    "comporta_handler_blocks_total",
    Kind.COUNTER,
    "Times that a handler blocked the event loop of all handlers for a second or longer.",
    ("destination",),
)
PARTITIONS_OWNED = MetricDef(
    "comporta_partitions_owned",
    Kind.GAUGE,
    "Partitions whose lease is held here, all workers summed.",
)

LOG_LAG_ENTRIES = MetricDef(
    "comporta_log_lag_entries", Kind.READING, "Events in the log that the ledger does not have yet."
)
SPOOL_ENTRIES = MetricDef(
    "comporta_spool_entries",
    Kind.READING,
    "Events in this server's spool that the log's server does not have yet.",
)
SPOOL_ACTIVE = MetricDef(
    "comporta_spool_active",
    Kind.READING,
    "1 while events go to this server's spool, 0 while they go to the log's server.",
)
DELIVERIES_PENDING = MetricDef(
    "comporta_deliveries_pending", Kind.READING, "Deliveries never tried, or queued in their lane."
)
DELIVERIES_SCHEDULED = MetricDef(
    "comporta_deliveries_scheduled", Kind.READING, "Deliveries that wait for their next attempt."
)
DELIVERIES_DEAD = MetricDef(
    "comporta_deliveries_dead", Kind.READING, "Dead letters: given up, kept with their reason."
)
OLDEST_OPEN_AGE_SECONDS = MetricDef(
    "comporta_oldest_open_age_seconds",
    Kind.READING,
    "Age of the oldest delivery that is still open; 0 if there is none.",
)
WORKERS = MetricDef("comporta_workers", Kind.READING, "Workers heard of within the last lease.")
DESTINATIONS_DEFERRED = MetricDef(
    "comporta_destinations_deferred",
    Kind.READING,
    "Destinations whose circuit breaker is not closed: their deliveries wait.",
)
STORED_BYTES = MetricDef(
    "comporta_stored_bytes", Kind.READING, "Bytes in use in log and ledger, at the last sample."
)
STORED_GROWTH_BYTES = MetricDef(
    "comporta_stored_growth_bytes",
    Kind.READING,
    "Bytes by which log and ledger grow in a day; left out until it is known.",
)
DISK_FREE_BYTES = MetricDef(
    "comporta_disk_free_bytes",
    Kind.READING,
    "Room on the disk and inside the stores' files, at the last sample.",
)
DISK_LEFT_SECONDS = MetricDef(
    "comporta_disk_left_seconds",
    Kind.READING,
    "Until the disk is full at the present rate; left out while that is not in sight.",
)

METRICS: tuple[MetricDef, ...] = (
    EVENTS_ACCEPTED,
    ACCEPTED_BYTES,
    ACK_SECONDS,
    REQUESTS_REFUSED,
    LOG_COMMITS,
    LOG_COMMIT_ENTRIES,
    LOG_COMMIT_SECONDS,
    SPOOL_EVENTS,
    EVENTS_RECORDED,
    EVENTS_DUPLICATE,
    DELIVERIES,
    ATTEMPT_SECONDS,
    DELIVERY_LAG_SECONDS,
    LEDGER_TRANSACTION_SECONDS,
    HANDLER_BLOCKS,
    PARTITIONS_OWNED,
    LOG_LAG_ENTRIES,
    SPOOL_ENTRIES,
    SPOOL_ACTIVE,
    DELIVERIES_PENDING,
    DELIVERIES_SCHEDULED,
    DELIVERIES_DEAD,
    OLDEST_OPEN_AGE_SECONDS,
    WORKERS,
    DESTINATIONS_DEFERRED,
    STORED_BYTES,
    STORED_GROWTH_BYTES,
    DISK_FREE_BYTES,
    DISK_LEFT_SECONDS,
)
