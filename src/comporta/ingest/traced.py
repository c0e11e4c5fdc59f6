"""The spans of ingest: a call that was accepted, and within it the wait until it was durable."""

import msgspec

from comporta.domain.event import Record
from comporta.ingest.directory import Caller
from comporta.telemetry.spans import Begun, SpanKind, Spans

_ACCEPTED = 200


def accepted(spans: Spans, caller: Caller, record: Record, started: float, begun: Begun) -> None:
    """An event is durable, and answered.

    Args:
        spans: where they go.
        caller: whose it is.
        record: what was stored.
        started: when the call came, by `time.perf_counter`.
        begun: its ingest span, which began when it was to be stored.
    """
    spans.ended(begun.child(begun.at), "append", SpanKind.INTERNAL, facts={})
    spans.ended(
        msgspec.structs.replace(begun, at=started),
        "ingest",
        SpanKind.SERVER,
        facts={
            "comporta.chatwoot": caller.instance_name,
            "comporta.source_kind": caller.kind.value,
            "comporta.event_type": record.event_type,
            "comporta.partition": record.partition,
            "http.request.method": "POST",
            "http.request.body.size": len(record.body),
            "http.response.status_code": _ACCEPTED,
        },
    )
