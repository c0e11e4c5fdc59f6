"""Spans: what an event went through, for a collector that speaks OpenTelemetry's protocol.

An event is traced or not from its first moment on: if its call names a trace, as that says; else
one in so many is. The `traceparent` of the ingest span is kept with the event, so that whatever
happens to it later, in another process or on another day, belongs to the same trace.

Nothing waits for a span. One that has ended is put aside; now and then a thread makes what the
protocol wants of them, and sends it. While the collector is away they are counted, and lost.
"""

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from pkgutil import resolve_name

import msgspec
import structlog

from comporta.domain.event import Headers
from comporta.domain.tracing import SpanContext, context_of, within
from comporta.errors import ComportaError, ConfigError
from comporta.i18n import _
from comporta.telemetry.spells import Spell
from comporta.telemetry.tally import Tally

WAITING_MAX = 4096
"""Ended spans that wait to be sent; more than that are lost."""
BATCH_MAX = 512
PERIOD_S = 1.0
FLUSH_S = 3.0
"""For what still waits when the process ends."""
_EXPORTER = "comporta.telemetry.otlp:Exporter"
_log = structlog.get_logger(__name__)


class NotExportedError(ComportaError):
    """The collector did not take spans; the message says why."""


class SpanKind(StrEnum):
    """What a span is to its surroundings, by OpenTelemetry's names."""

    SERVER = "SERVER"
    INTERNAL = "INTERNAL"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"


class Begun(msgspec.Struct, frozen=True, gc=False):
    """A span that has begun."""

    context: SpanContext
    parent: SpanContext | None
    at: float
    """By `time.perf_counter`."""

    def child(self, at: float) -> "Begun":
        """A span within it that began at `at`."""
        return Begun(_below(self.context), self.context, at)

    def marked(self, headers: Headers) -> Headers:
        """These headers, sent on from this span."""
        return within(headers, self.context)


class Span(msgspec.Struct, frozen=True, gc=False):
    """A span that has ended."""

    name: str
    kind: SpanKind
    context: SpanContext
    parent: SpanContext | None
    linked: SpanContext | None
    began_ns: int
    """Unix nanoseconds."""
    ended_ns: int
    facts: dict[str, str | int | float]
    """Attributes; what is empty is left out."""
    error: str = ""
    """What kind of failure it ended in."""


Export = Callable[[Sequence[Span]], None]
"""Sends spans; blocks; raises NotExportedError."""


class Spans:
    """The spans of one process.

    Args:
        export: sends them.
        sample: the share of events that is traced if their calls name no trace, 0 to 1.
        tally: where it is counted what became of them.
    """

    def __init__(self, export: Export, sample: float, tally: Tally) -> None:
        self._export, self._sample, self._tally = export, sample, tally
        self._waiting: deque[Span] = deque()
        self._spell = Spell(_log, "traces.not_exported", "traces.exported_again")

    def begin(self, headers: Headers) -> Begun | None:
        """The first span of an event that comes with these headers; None: it is not traced."""
        parent = context_of(headers)
        if parent is not None:
            return _following(parent)
        if random.random() >= self._sample:  # noqa: S311  (a choice, not a secret)
            return None
        context = SpanContext(secrets.token_hex(16), secrets.token_hex(8), sampled=True)
        return Begun(context, None, time.perf_counter())

    @staticmethod
    def go_on(headers: Headers) -> Begun | None:
        """A further span of an event that was kept with these headers; None: it is not traced."""
        parent = context_of(headers)
        return _following(parent) if parent is not None else None

    def ended(  # noqa: PLR0913  (what a span is made of, by name)
        self,
        begun: Begun,
        name: str,
        kind: SpanKind,
        *,
        facts: dict[str, str | int | float | None],
        linked: SpanContext | None = None,
        error: str = "",
    ) -> None:
        """It ends now.

        Args:
            begun: which.
            name: one of a few.
            kind: what it is to its surroundings.
            facts: its attributes; what is empty is left out.
            linked: another span that brought it about.
            error: what kind of failure it ended in; "": none.
        """
        if len(self._waiting) >= WAITING_MAX:
            self._tally.spans.add(("dropped",))
            return
        now_ns = time.time_ns()
        began_ns = now_ns - int((time.perf_counter() - begun.at) * 1e9)
        known = {key: value for key, value in facts.items() if value not in (None, "")}
        self._waiting.append(
            Span(name, kind, begun.context, begun.parent, linked, began_ns, now_ns, known, error)
        )

    async def run(self) -> None:
        """Send what has ended, until cancelled; then what is left, for a moment."""
        try:
            while True:
                await asyncio.sleep(PERIOD_S)
                while self._waiting:
                    await self._send()
        finally:
            await self._flush()

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                while self._waiting:
                    await self._send()
        except TimeoutError:
            self._tally.spans.add(("dropped",), len(self._waiting))

    async def _send(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        try:
            await asyncio.to_thread(self._export, batch)
        except NotExportedError as error:
            self._tally.spans.add(("failed",), len(batch))
            self._spell.failed(error)
        else:
            self._tally.spans.add(("exported",), len(batch))
            self._spell.worked()


def open_spans(endpoint: str, sample: float, server: str, tally: Tally) -> Spans | None:
    """The spans of this process; None: nothing is traced.

    Args:
        endpoint: the collector's URL, without `/v1/traces`; "": none.
        sample: the share of events that is traced, 0 to 1.
        server: the name of this server.
        tally: what is counted.

    Raises:
        ConfigError: OpenTelemetry's SDK is not installed.
    """
    if not endpoint:
        return None
    try:
        export: Export = resolve_name(_EXPORTER)(endpoint, server)
    except ModuleNotFoundError as error:
        said = _(
            "There is an otel_endpoint, but what sends traces is not installed (no module"
            " {module}). Install it: pip install 'comporta[otel]'"
        )
        raise ConfigError(said.format(module=error.name)) from None
    return Spans(export, sample, tally)


def _following(parent: SpanContext) -> Begun | None:
    return Begun(_below(parent), parent, time.perf_counter()) if parent.sampled else None


def _below(parent: SpanContext) -> SpanContext:
    return SpanContext(parent.trace_id, secrets.token_hex(8), parent.sampled)
