"""What destinations ask for instead of Chatwoot's own bytes, as a real receiver sees it."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook
from tests.support.deliveries import delivery
from tests.support.listener import Request, listening, says

from comporta.destinations.http import Endpoint, HttpSender, open_endpoint
from comporta.destinations.shape import (
    BODY_BYTES_MAX,
    NULL,
    SHAPED_BYTES_MAX,
    TRACE_BYTES_MAX,
    Shaped,
    Transform,
    Unshapable,
    cloudevents,
    shape_of,
)
from comporta.destinations.signing import key_of
from comporta.domain.delivery import AttemptResult, Delivery, Ending
from comporta.domain.event import Headers
from comporta.domain.fleet import Destination, Format, Secret
from comporta.domain.ids import show

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CHATWOOT: Headers = (
    ("content-type", "application/json; charset=utf-8"),
    ("x-chatwoot-delivery", "d-1"),
    ("x-chatwoot-signature", "sha256=00"),
    ("x-chatwoot-timestamp", "1795500000"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)
BODY = '{"event": "message_created",  "content": "Olá", "sender": {"name": "Ana"}}'.encode()


def sent(
    one: Delivery, chosen: Format, transform: str = "", headers: dict[str, str] | None = None
) -> tuple[AttemptResult, list[Request]]:
    async def run() -> tuple[AttemptResult, list[Request]]:
        async with listening(says(200)) as listener:
            endpoint = Endpoint(
                listener.url,
                5.0,
                key_of(SECRET),
                shape=shape_of(chosen, transform),
                headers=headers or {},
            )
            sender = HttpSender()
            await sender.open()
            try:
                async with asyncio.timeout(20):
                    return await sender.send(endpoint, one, "loja-sp"), listener.requests
            finally:
                await sender.close()

    return asyncio.run(run())


def shaped(expression: str, body: bytes) -> Shaped | Unshapable:
    return Transform(expression)(delivery(1, body=body), "loja")


def test_raw_sends_the_very_bytes_and_has_nothing_that_could_change_them() -> None:
    assert shape_of(Format.RAW, "") is None
    result, (request,) = sent(delivery(77, body=BODY, headers=CHATWOOT), Format.RAW)
    assert (result.status, request.body) == (200, BODY)
    assert not [name for name, _value in request.headers if name.startswith("ce-")]


def test_cloudevents_add_attributes_as_headers_and_leave_the_body_as_it_was() -> None:
    one = replace(
        delivery(77, place=(3, 4711), body=BODY, headers=CHATWOOT), accepted_at_ms=1_795_500_000_123
    )
    result, (request,) = sent(one, Format.CLOUDEVENTS)
    assert (result.status, request.body) == (200, BODY)
    found = {name: value for name, value in request.headers if name.startswith("ce-")}
    at = datetime.fromtimestamp(1_795_500_000.123, UTC)
    assert datetime.fromisoformat(found.pop("ce-time")) == at
    assert found == {
        "ce-specversion": "1.0",
        "ce-id": show("evt", 77),
        "ce-source": "/instances/loja-sp",
        "ce-type": "com.chatwoot.message_created.v1",
        "ce-partitionkey": "4711",
    }
    assert request.header("content-type") == "application/json; charset=utf-8"
    assert request.header("x-chatwoot-signature") == "sha256=00"
    assert Webhook(SECRET).verify(request.body, dict(request.headers))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_event_type_becomes_a_header_that_reads_back_to_it(event_type: str) -> None:
    made = cloudevents(replace(delivery(1), event_type=event_type), "loja")
    value = made.headers["ce-type"]
    assert all(0x21 <= ord(letter) <= 0x7E and letter != '"' for letter in value)
    assert unquote(value) == f"com.chatwoot.{event_type or 'unknown'}.v1"


def test_a_transform_makes_the_body_and_what_is_sent_is_what_is_signed() -> None:
    one = delivery(77, body=BODY, headers=CHATWOOT)
    result, (request,) = sent(one, Format.JMESPATH, "{text: content, from: sender.name}")
    assert (result.status, result.ending) == (200, None)
    assert json.loads(request.body) == {"text": "Olá", "from": "Ana"}
    assert Webhook(SECRET).verify(request.body, dict(request.headers))
    assert request.header("content-type") == "application/json"
    assert request.header("content-length") == str(len(request.body))
    names = dict(request.headers)
    assert "x-chatwoot-delivery" in names
    assert "x-chatwoot-signature" not in names, "it is not right for these bytes"


def test_the_trace_of_whoever_called_travels_along() -> None:
    _result, (request,) = sent(delivery(77, headers=CHATWOOT), Format.RAW)
    assert request.header("traceparent") == dict(CHATWOOT)["traceparent"]


def test_headers_of_a_destination_are_sent_and_cannot_take_the_place_of_ours() -> None:
    own = {
        "authorization": "Bearer hush",
        "content-type": "application/vnd.crm+json",
        "x-name": "Olá",
        "webhook-id": "forged",
    }
    _result, (request,) = sent(delivery(77, headers=CHATWOOT), Format.RAW, headers=own)
    assert request.header("authorization") == "Bearer hush"
    assert request.header("content-type") == "application/vnd.crm+json"
    assert request.header("webhook-id") == show("dlv", 77)


def test_a_destination_of_the_fleet_is_opened_with_its_secrets_in_the_clear() -> None:
    opened = open_endpoint(
        Destination(
            *("dst_1", "crm", "http://crm/"),
            secret=Secret("sealed-1"),
            headers={"x-key": Secret("sealed-2")},
            format=Format.CLOUDEVENTS,
        ),
        lambda secret: secret.sealed.replace("sealed", "open"),
    )
    assert (opened.key, opened.headers) == (b"open-1", {"x-key": "open-2"})
    assert opened.shape is cloudevents


def test_null_is_a_filter_nothing_is_sent_and_the_delivery_is_dropped() -> None:
    result, requests = sent(delivery(77, body=BODY), Format.JMESPATH, "missing")
    assert (result.ending, result.error, result.status) == (Ending.DROPPED, NULL, None)
    assert requests == []


@pytest.mark.parametrize("expression", ["`false`", "`0`", '`""`', "`[]`", "sender.{n: nothing}"])
def test_only_null_is_dropped_other_empty_results_are_sent(expression: str) -> None:
    result, requests = sent(delivery(77, body=BODY), Format.JMESPATH, expression)
    assert (result.status, len(requests)) == (200, 1)


@pytest.mark.parametrize(
    ("expression", "body", "words"),
    [
        ("abs(content)", BODY, "failed on this event: JMESPathTypeError"),
        ("join(`1`, @)", BODY, "failed on this event"),
        ("&content", BODY, "failed on this event: TypeError"),
        ("content", b"not JSON", "not JSON"),
        ("content", b"", "not JSON"),
        ("content", b'{"a":"\xff"}', "not JSON"),
        ("@", b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        ("@", b'"' + b"x" * (BODY_BYTES_MAX - 1) + b'"', "larger than"),
    ],
    ids=["type", "arguments", "no value", "text", "empty", "bytes", "deep", "large"],
)
def test_what_cannot_be_shaped_is_poison_and_never_sent(
    expression: str, body: bytes, words: str
) -> None:
    result, requests = sent(delivery(77, body=body), Format.JMESPATH, expression)
    assert requests == []
    assert result.ending is Ending.POISON
    assert words in result.error
    assert "\n" not in result.error
    assert "Olá" not in result.error, "the reason is logged; the trace is for whoever asks"
    assert 0 < len(result.response) <= TRACE_BYTES_MAX


def test_the_trace_of_a_failure_is_kept_with_what_went_wrong() -> None:
    result, _requests = sent(delivery(77, body=BODY), Format.JMESPATH, "abs(content)")
    assert b"Traceback" in result.response
    assert "invalid type for value: Olá" in result.response.decode()


def test_bodies_are_shaped_up_to_the_bound_and_results_sent_up_to_theirs() -> None:
    full = b'"' + b"x" * (BODY_BYTES_MAX - 2) + b'"'
    assert shaped("@", full) == Shaped(full, {"content-type": "application/json"}, _stale())
    four = shaped("[@, @, @, @]", b'"' + b"x" * (SHAPED_BYTES_MAX // 4 - 10) + b'"')
    assert isinstance(four, Shaped)
    assert len(four.body) <= SHAPED_BYTES_MAX
    more = shaped("[@, @, @, @]", full)
    assert isinstance(more, Unshapable)
    assert "more than 4194304 bytes" in more.reason


def _stale() -> tuple[str, ...]:
    return ("x-chatwoot-signature", "x-chatwoot-timestamp")


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(_json)
def test_the_identity_says_the_same_in_other_bytes(value: Any) -> None:
    made = shaped("@", json.dumps(value).encode())
    if value is None:
        assert isinstance(made, Unshapable)
    else:
        assert isinstance(made, Shaped)
        assert json.loads(made.body) == value
