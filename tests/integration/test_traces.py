"""Traces of a real gateway, as a collector gets them: read with the protocol's own classes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, free_port, wait_for

TOKEN = "token-of-the-instance-loja"
PHONE = "+5511987654321"
FLEET = f"""
[[instance]]
name = "loja"
[[instance.source]]
name = "conta"
kind = "account"
token = "{TOKEN}"
[[destination]]
name = "crm"
url = "URL/crm?key=of-the-crm"
retry = [0.2, 0.2]
[[route]]
name = "all"
to = ["crm"]
"""
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Seen(msgspec.Struct, frozen=True):
    """A span, as the collector got it."""

    name: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    kind: str
    failed: bool
    duration_s: float
    facts: dict[str, object]


def _value(one: KeyValue) -> object:
    return getattr(one.value, str(one.value.WhichOneof("value")))


def spans(collector: Receiver) -> list[Seen]:
    """All that it has."""
    found = []
    for arrived in list(collector.arrived):
        assert arrived.path == "/v1/traces"
        if not arrived.ok:
            continue
        request = ExportTraceServiceRequest.FromString(arrived.body)
        for resource in request.resource_spans:
            of = {one.key: _value(one) for one in resource.resource.attributes}
            assert of["service.name"] == "comporta"
            assert of["service.instance.id"] == "sala-1"
            found += [
                Seen(
                    one.name,
                    one.trace_id.hex(),
                    one.span_id.hex(),
                    one.parent_span_id.hex(),
                    tuple((link.trace_id.hex(), link.span_id.hex()) for link in one.links),
                    Span.SpanKind.Name(one.kind),
                    one.status.code == 2,
                    (one.end_time_unix_nano - one.start_time_unix_nano) / 1e9,
                    {fact.key: _value(fact) for fact in one.attributes},
                )
                for scope in resource.scope_spans
                for one in scope.spans
            ]
    return found


def body(number: int) -> bytes:
    event = {"event": "message_created", "id": number, "conversation": {"id": number}}
    return json.dumps(event | {"content": f"ligue para {PHONE}"}).encode()


class House:
    """A gateway, its destination, and its collector."""

    def __init__(self, gateway: Gateway, crm: Receiver, collector: Receiver) -> None:
        self.gateway, self.crm, self.collector = gateway, crm, collector

    def send(self, number: int, **headers: str) -> None:
        assert self.gateway.post(f"/webhook/{TOKEN}", body(number), headers).status == 200

    def traceparents(self, number: int) -> list[str]:
        """Of the calls that the destination got with this event."""
        mine = [one for one in self.crm.arrived if json.loads(one.body)["id"] == number]
        return [one.headers.get("traceparent", "") for one in mine]

    def trace(self, number: int, attempts: int) -> dict[str, list[Seen]]:
        """The spans of an event by name, once it was tried so often."""

        def whole() -> list[Seen]:
            sent = self.traceparents(number)
            ids = {one.split("-")[1] for one in sent}
            found = [one for one in spans(self.collector) if one.trace in ids]
            return found if len(sent) == attempts and len(found) == 3 + attempts else []

        found = wait_for("the trace is whole", whole)
        return {
            name: sorted(
                (one for one in found if one.name == name),
                key=lambda one: int(str(one.facts.get("comporta.attempt", 0))),
            )
            for name in ("ingest", "append", "dispatch", "attempt")
        }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tried: set[bytes] = set()

    def stubborn(_path: str, data: bytes) -> int:
        first = data not in tried
        tried.add(data)
        return 503 if first and json.loads(data)["id"] < 10 else 200

    with Receiver(stubborn) as crm, Receiver() as collector:
        gateway = Gateway(
            tmp_path_factory.mktemp("traced"),
            FLEET.replace("URL", crm.url),
            workers=2,
            otel_endpoint=collector.url,
            otel_sample=1,
            server="sala-1",
        )
        with gateway:
            yield House(gateway, crm, collector)
        assert "Traceback" not in gateway.log


def test_an_event_and_its_attempts_are_one_trace(house: House) -> None:
    house.send(1)
    trace = house.trace(1, attempts=2)
    (ingest,), (append,), (dispatch,) = trace["ingest"], trace["append"], trace["dispatch"]
    first, second = trace["attempt"]
    assert (ingest.parent, ingest.links, ingest.kind) == ("", (), "SPAN_KIND_SERVER")
    assert (append.parent, append.kind) == (ingest.id, "SPAN_KIND_INTERNAL")
    assert 0 < append.duration_s <= ingest.duration_s < 5
    assert dispatch.kind == "SPAN_KIND_CONSUMER"
    assert (first.failed, second.failed) == (True, False)
    assert first.facts["http.response.status_code"] == 503
    assert second.facts["comporta.outcome"] == "delivered"
    for one in (dispatch, first, second):
        assert one.parent == ingest.id
        assert one.links == ((ingest.trace, ingest.id),)
        assert one.facts["comporta.chatwoot"] == "loja"
    row = house.gateway.command("deliveries", "--limit", "1")[0]
    assert first.facts["comporta.delivery_id"] == row["id"]
    assert first.facts["comporta.event_id"] == row["event_id"]


def test_each_attempt_goes_out_as_itself(house: House) -> None:
    house.send(2)
    attempts = house.trace(2, attempts=2)["attempt"]
    sent = house.traceparents(2)
    assert sent == [f"00-{one.trace}-{one.id}-01" for one in attempts]


def test_a_callers_trace_is_gone_on_with(house: House) -> None:
    house.send(11, traceparent=f"00-{TRACE}-{CALLER}-01", tracestate="loja=1")
    (ingest,) = house.trace(11, attempts=1)["ingest"]
    assert (ingest.trace, ingest.parent) == (TRACE, CALLER)
    assert house.crm.arrived[-1].headers["tracestate"] == "loja=1"


def test_what_a_caller_does_not_want_traced_is_not_and_goes_out_as_it_came(house: House) -> None:
    given = f"00-{TRACE[::-1]}-{CALLER}-00"
    house.send(12, traceparent=given)
    wait_for("it is delivered", lambda: house.traceparents(12))
    house.send(13)
    house.trace(13, attempts=1)  # what came before it has been sent, too
    assert house.traceparents(12) == [given]
    assert not [one for one in spans(house.collector) if one.trace == TRACE[::-1]]


def test_nothing_of_a_body_a_token_or_a_url_is_in_a_span(house: House) -> None:
    sent = b"".join(one.body for one in house.collector.arrived)
    assert b"message_created" in sent
    for secret in (TOKEN, PHONE, PHONE[3:], "ligue", "of-the-crm"):
        assert secret.encode() not in sent


def test_nothing_waits_for_a_collector_that_is_away(tmp_path: Path) -> None:
    port = free_port()
    with Receiver() as crm:
        gateway = Gateway(
            tmp_path,
            FLEET.replace("URL", crm.url),
            otel_endpoint=f"http://127.0.0.1:{port}",
            otel_sample=1,
            server="sala-1",
        )
        with gateway:
            house = House(gateway, crm, crm)
            began = time.monotonic()
            for number in range(20, 30):
                house.send(number)
            assert time.monotonic() - began < 2
            wait_for("all are delivered", lambda: len(crm.arrived) == 10)
            failed = 'comporta_spans_total{outcome="failed"}'
            wait_for("it is counted", lambda: gateway.metrics().get(failed, 0) >= 20)
            assert "traces.not_exported" in gateway.log
            with Receiver(port=port) as collector:
                house.collector = collector
                house.send(31)
                assert house.trace(31, attempts=1)["attempt"]
            wait_for("it is said", lambda: "traces.exported_again" in gateway.log)
            gateway.stop()
        assert "Traceback" not in gateway.log
