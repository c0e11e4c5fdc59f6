"""The spans of dispatch: an event's way from the log into the ledger, and each attempt.

Both are children of the event's ingest span, and linked to it: by the link they are found where a
trace of days is cut into pieces. An attempt's own span goes out in `traceparent`.
"""

from collections.abc import Sequence

import msgspec

from comporta.domain.delivery import Delivery, Outcome
from comporta.domain.ids import show
from comporta.ledger.port import NewEvent
from comporta.telemetry.spans import Begun, SpanKind, Spans


class Traced:
    """The spans of one dispatcher.

    Args:
        spans: where they go; None: nothing is traced.
    """

    def __init__(self, spans: Spans | None) -> None:
        self._spans = spans

    def events(self, events: Sequence[NewEvent], names: dict[str, str], began: float) -> None:
        """These were taken from the log into the ledger.

        Args:
            events: all of a batch.
            names: instance id → name.
            began: when the batch was read, by `time.perf_counter`.
        """
        if self._spans is None:
            return
        for event in events:
            record = event.record
            begun = self._spans.go_on(record.headers)
            if begun is not None:
                self._spans.ended(
                    msgspec.structs.replace(begun, at=began),
                    "dispatch",
                    SpanKind.CONSUMER,
                    linked=begun.parent,
                    facts={
                        "comporta.chatwoot": names.get(record.instance_id, record.instance_id),
                        "comporta.event_type": record.event_type,
                        "comporta.partition": record.partition,
                        "comporta.deliveries": len(event.targets),
                    },
                )

    def begin(self, delivery: Delivery) -> tuple[Delivery, Begun | None]:
        """An attempt begins: what is to be sent, which names the attempt's span, and that."""
        begun = self._spans.go_on(delivery.headers) if self._spans else None
        if begun is None:
            return delivery, None
        return msgspec.structs.replace(delivery, headers=begun.marked(delivery.headers)), begun

    def ended(self, begun: Begun | None, outcome: Outcome, destination: str, chatwoot: str) -> None:
        """An attempt ended.

        Args:
            begun: from `begin`.
            outcome: of it.
            destination: its name.
            chatwoot: the name of the instance.
        """
        if self._spans is None or begun is None:
            return
        delivery, result = outcome.delivery, outcome.result
        failed = "" if result.succeeded else str(result.status or result.ending or "not_delivered")
        self._spans.ended(
            begun,
            "attempt",
            SpanKind.CLIENT,
            linked=begun.parent,
            error=failed,
            facts={
                "comporta.chatwoot": chatwoot,
                "comporta.event_type": delivery.event_type,
                "comporta.event_id": show("evt", delivery.event_id),
                "comporta.delivery_id": show("dlv", delivery.id),
                "comporta.destination": destination,
                "comporta.attempt": delivery.attempts + 1,
                "comporta.outcome": outcome.verdict.state.value,
                "http.response.status_code": result.status,
                "error.type": failed,
            },
        )
