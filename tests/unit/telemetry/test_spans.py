"""Spans that wait to be sent: which events are traced, how many wait, what becomes of them."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

import pytest

from comporta.domain.tracing import context_of
from comporta.errors import ConfigError
from comporta.telemetry import spans
from comporta.telemetry.spans import NotExportedError, Span, SpanKind, Spans, open_spans
from comporta.telemetry.tally import Tally

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"


class Stage:
    """Spans whose collector is a list."""

    def __init__(self, sample: float = 1) -> None:
        self.tally, self.sent, self.away = Tally(), list[list[Span]](), False
        self.spans = Spans(self._export, sample, self.tally)

    def _export(self, batch: Sequence[Span]) -> None:
        if self.away:
            raise NotExportedError("away")
        self.sent.append(list(batch))

    def end(self, count: int = 1) -> None:
        for _ in range(count):
            begun = self.spans.begin(())
            assert begun is not None
            self.spans.ended(begun, "ingest", SpanKind.SERVER, facts={"a": "", "b": None, "c": 0})

    def run(self) -> None:
        """Run it for a moment, and end it."""

        async def moment() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self.spans.run()

        asyncio.run(moment())

    def count(self, outcome: str) -> float:
        found = dict(self.tally.spans.cells())
        return found[outcome,].value if (outcome,) in found else 0


def test_none_or_all_are_traced_by_the_share() -> None:
    assert Stage(sample=0).spans.begin(()) is None
    assert Stage(sample=1).spans.begin(()) is not None


@pytest.mark.parametrize("sample", [0, 1])
def test_a_call_that_says_it_itself_is_heeded(sample: float) -> None:
    stage = Stage(sample)
    assert stage.spans.begin((("traceparent", f"{GIVEN}00"),)) is None
    begun = stage.spans.begin((("traceparent", f"{GIVEN}01"),))
    assert begun is not None
    assert begun.context.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert begun.parent is not None
    assert begun.parent.span_id == "00f067aa0ba902b7"


def test_what_is_kept_with_the_event_is_the_new_span_and_nothing_else_changes() -> None:
    headers = (("traceparent", f"{GIVEN}01"), ("content-type", "application/json"))
    begun = Stage().spans.begin(headers)
    assert begun is not None
    kept = begun.marked(headers)
    assert context_of(kept) == begun.context
    assert [one for one in kept if one[0] != "traceparent"] == [headers[1]]


def test_an_event_that_is_not_traced_is_not_traced_later() -> None:
    stage = Stage()
    assert stage.spans.go_on(()) is None
    assert stage.spans.go_on((("traceparent", f"{GIVEN}00"),)) is None


def test_all_are_sent_at_the_end_in_batches_and_empty_facts_left_out() -> None:
    stage = Stage()
    stage.end(spans.BATCH_MAX + 1)
    stage.run()
    assert [len(batch) for batch in stage.sent] == [spans.BATCH_MAX, 1]
    assert stage.sent[0][0].facts == {"c": 0}
    assert stage.count("exported") == spans.BATCH_MAX + 1


def test_no_more_wait_than_may() -> None:
    stage = Stage()
    stage.end(spans.WAITING_MAX + 3)
    assert stage.count("dropped") == 3
    stage.run()
    assert sum(map(len, stage.sent)) == spans.WAITING_MAX


def test_what_is_not_taken_is_counted() -> None:
    stage = Stage()
    stage.away = True
    stage.end(2)
    stage.run()
    assert (stage.count("failed"), stage.count("exported")) == (2, 0)


def test_without_an_endpoint_nothing_of_opentelemetry_is_needed() -> None:
    assert open_spans("", 1, "sala", Tally()) is None


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "comporta.telemetry.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"pip install 'comporta\[otel\]'"):
        open_spans("http://127.0.0.1:4318", 1, "sala", Tally())
