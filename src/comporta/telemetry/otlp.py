"""Sends spans to a collector over OTLP/HTTP, by OpenTelemetry's own exporter (the `[otel]` extra).

What a collector may ask for besides the URL is told by OpenTelemetry's own variables, such as
`OTEL_EXPORTER_OTLP_HEADERS`; the exporter reads them.
"""

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace import SpanContext as OtelContext

from comporta import __version__
from comporta.domain.tracing import SpanContext
from comporta.telemetry.spans import NotExportedError, Span

TIMEOUT_S = 3.0
"""For one batch, with everything that the exporter tries again."""
_REASON_CHARS_MAX = 300
_OWN_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Exporter:
    """Called with spans, sends them. Blocks up to `TIMEOUT_S`.

    Args:
        endpoint: the collector's URL, without `/v1/traces`.
        server: the name of this server.
    """

    def __init__(self, endpoint: str, server: str) -> None:
        self._endpoint = endpoint
        self._exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=TIMEOUT_S)
        self._resource = Resource.create(
            {
                "service.name": "comporta",
                "service.version": __version__,
                "service.instance.id": server,
            }
        )
        self._scope = InstrumentationScope("comporta", __version__)
        self._reason = _Reason()
        logger = logging.getLogger(_OWN_LOGGER)
        logger.handlers[:] = [self._reason]
        logger.propagate = False

    def __call__(self, spans: Sequence[Span]) -> None:
        """Send them. Raises NotExportedError."""
        self._reason.text = ""
        sent = self._exporter.export([self._readable(span) for span in spans])
        if sent is not SpanExportResult.SUCCESS:
            why = self._reason.text or "no reason given"
            raise NotExportedError(f"{self._endpoint} took no traces: {why}")

    def _readable(self, span: Span) -> ReadableSpan:
        links = [Link(_otel(span.linked, remote=True))] if span.linked else []
        failed = Status(StatusCode.ERROR, span.error) if span.error else Status()
        return ReadableSpan(
            span.name,
            context=_otel(span.context, remote=False),
            parent=_otel(span.parent, remote=True) if span.parent else None,
            resource=self._resource,
            attributes=span.facts,
            links=links,
            kind=SpanKind[span.kind.value],
            status=failed,
            start_time=span.began_ns,
            end_time=span.ended_ns,
            instrumentation_scope=self._scope,
        )


class _Reason(logging.Handler):
    """Keeps the exporter's last complaint, which it only logs: it is told in one line of ours."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, without its traceback."""
        if record.levelno >= logging.WARNING:
            self.text = record.getMessage()[:_REASON_CHARS_MAX]


def _otel(context: SpanContext, *, remote: bool) -> OtelContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return OtelContext(int(context.trace_id, 16), int(context.span_id, 16), remote, flags)
