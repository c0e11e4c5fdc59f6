"""How events, deliveries and attempts are shown: columns with their JSON keys, and rows for them.

The keys are documented in `docs/reference/cli.md`; they may be added to, never renamed.
"""

from comporta.cli.names import Names, made_at
from comporta.cli.screen import Column, Instant, Row, Word, instant
from comporta.domain import ids
from comporta.domain.delivery import DeliveryState
from comporta.i18n import _
from comporta.ledger.port import AttemptRow, DeliveryRow, EventRow


def state_word(state: DeliveryState) -> Word:
    """A delivery's state, for both readers."""
    words = {
        DeliveryState.PENDING: _("pending"),
        DeliveryState.SCHEDULED: _("scheduled"),
        DeliveryState.DELIVERED: _("delivered"),
        DeliveryState.DEAD: _("dead"),
        DeliveryState.DISCARDED: _("discarded"),
    }
    return Word(state.value, words[state])


def event_columns() -> tuple[Column, ...]:
    """How a list of events is headed."""
    return (
        Column("id", _("EVENT")),
        Column("accepted_at", _("ACCEPTED")),
        Column("instance", _("INSTANCE")),
        Column("source", _("SOURCE")),
        Column("event_type", _("TYPE")),
        Column("subject", _("ABOUT")),
        Column("account_id", _("ACCOUNT"), right=True),
        Column("verified", _("VERIFIED")),
        Column("body_bytes", _("BYTES"), right=True),
        Column("deliveries", _("DELIVERIES"), right=True),
        Column("duplicate_of", _("DUPLICATE OF")),
    )


def event_cells(row: EventRow, names: Names) -> Row:
    """One event as a row of that list."""
    source = names.source(row.source_id)
    return {
        "id": ids.show("evt", row.id),
        "accepted_at": Instant(row.accepted_at_ms),
        "instance": names.instance(row.instance_id),
        "source": source.rpartition("/")[2],
        "event_type": row.event_type,
        "subject": row.subject,
        "account_id": row.account_id,
        "verified": row.verified,
        "body_bytes": row.body_bytes,
        "deliveries": row.deliveries,
        "duplicate_of": ids.show("evt", row.duplicate_of) if row.duplicate_of else None,
    }


def delivery_columns() -> tuple[Column, ...]:
    """How a list of deliveries is headed."""
    return (
        Column("id", _("DELIVERY")),
        Column("event_id", _("EVENT")),
        Column("created_at", _("CREATED")),
        Column("instance", _("INSTANCE")),
        Column("event_type", _("TYPE")),
        Column("subject", _("ABOUT")),
        Column("destination", _("DESTINATION")),
        Column("state", _("STATE")),
        Column("attempts", _("ATTEMPTS"), right=True),
        Column("due_at", _("DUE")),
        Column("settled_at", _("SETTLED")),
        Column("reason", _("REASON")),
        Column("replay", _("REPLAY")),
    )


def delivery_cells(row: DeliveryRow, names: Names) -> Row:
    """One delivery as a row of that list."""
    waits = row.state is DeliveryState.SCHEDULED
    return {
        "id": ids.show("dlv", row.id),
        "event_id": ids.show("evt", row.event_id),
        "created_at": made_at(row.id),
        "instance": names.instance(row.instance_id),
        "event_type": row.event_type,
        "subject": row.subject,
        "destination": names.destination(row.destination_id),
        "state": state_word(row.state),
        "attempts": row.attempts,
        "due_at": instant(row.due_at_ms) if waits else None,
        "settled_at": instant(row.settled_at_ms),
        "reason": row.reason,
        "replay": row.replay,
    }


def attempt_cells(row: AttemptRow) -> Row:
    """One attempt, as it stands in an event's story."""
    return {
        "number": row.number,
        "started_at": Instant(row.started_at_ms),
        "duration_ms": round(row.duration_ms, 1),
        "status": row.status,
        "error": row.error,
        "response": row.response,
    }
