"""A gateway at DEBUG, all samples of Chatwoot, whatever can fail: what its lines say, and do not.

Failing destinations are a server that answers 500, one that nobody listens on, an expression that
quotes what it cannot work with, and a handler that puts the message into its exception.
"""

import hashlib
import hmac
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

from comporta.telemetry.budget import LINES_MAX

TOKEN, SECRET = "token-that-nobody-may-read", "secret-that-nobody-may-read"
TRACE = "41234567890123456789012345678901"
FAILING = {"falha", "fechada", "expressao", "repeats_all"}
PRIVATE = {
    *("content", "processed_message_content", "full", "quoted", "reply", "subject", "mail_subject"),
    *("phone_number", "email", "cc", "cc_email", "from", "to", "secret", "pubsub_token"),
    *("hmac_token", "webhook_url", "X-Chatwoot-Signature", "greeting_message"),
}
LETTERS_MIN = 11
"""Of any text of a payload, of whatever field, that must not be seen; `delivered` is shorter."""

FLEET = f"""
[[instance]]
name = "loja-sp"
[[instance.source]]
name = "assinada"
kind = "account"
token = "{TOKEN}"
secrets = ["{SECRET}"]

[[destination]]
name = "falha"
url = "URL/falha?token={TOKEN}"
retry = [1]

[[destination]]
name = "fechada"
url = "http://user:{SECRET}@127.0.0.1:9/"
retry = []

[[destination]]
name = "expressao"
url = "URL/expressao"
format = "jmespath"
transform = "{{x: abs(content || event)}}"
retry = []

[[route]]
name = "tudo"
events = ["*"]
to = ["falha", "fechada", "expressao"]
"""

HANDLERS = """
import logging

import comporta

gateway = comporta.Gateway()


@gateway.on("*")
async def repeats_all(event: dict) -> None:
    logging.getLogger("bot").warning("bot.saw", extra={})
    raise ValueError(f"cannot work with {event}")
"""


def payloads() -> list[tuple[str, bytes]]:
    folder = resources.files("comporta.testing") / "payloads"
    found = [*folder.iterdir(), *(folder / "other").iterdir(), *(folder / "raw").iterdir()]
    samples = [
        (one.name, one.read_bytes()) for one in found if one.name.endswith((".json", ".body"))
    ]
    return [one for one in samples if one[0] not in {"INDEX.json", "signature_vectors.json"}]


def texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a payload, with the name of its field."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from texts(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value, key)
    elif isinstance(node, str) and node:
        yield key, node


def forbidden() -> set[str]:
    found = {TOKEN, SECRET}
    for _name, data in payloads():
        for key, text in texts(msgspec.json.decode(data)):
            if key != "event" and (key in PRIVATE or len(text) >= LETTERS_MIN):
                found |= {line for line in text.lstrip("+").splitlines() if line}
    return found


def signed(body: bytes) -> dict[str, str]:
    at_s = str(int(time.time()))
    mac = hmac.new(SECRET.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Chatwoot-Timestamp": at_s, "X-Chatwoot-Signature": f"sha256={mac}"}


class Lines:
    """The lines of a gateway, by what they say."""

    def __init__(self, gateway: Gateway) -> None:
        self.all = [msgspec.json.decode(line) for line in gateway.log.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.all if line["event"] == event]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It has seen everything, and has ended."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "linebot.py").write_text(HANDLERS)
    with Receiver(lambda _path, _body: 500) as receiver:
        gateway = Gateway(
            folder,
            FLEET.replace("URL", receiver.url),
            log_level="debug",
            access_log_sample=10,
            server="borda-1",
            handlers="linebot:gateway",
        )
        gateway.environment["PYTHONPATH"] += f":{folder}"
        with gateway:
            feed(gateway)
            wait_for("all have been tried", lambda: tried(gateway))
            gateway.stop()
        yield gateway


def feed(gateway: Gateway) -> None:
    traced = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    body = payloads()[0][1]
    assert gateway.post(f"/webhook/{TOKEN}", body[:-9], signed(body[:-9])).status == 400
    assert gateway.post(f"/webhook/x{TOKEN}", body).status == 404
    assert gateway.post(f"/webhook?token={TOKEN}", b"[]", {"Authorization": TOKEN}).status == 401
    for _name, body in payloads():
        assert gateway.post(f"/webhook/{TOKEN}", body, signed(body) | traced).status == 200
        assert gateway.post(f"/webhook/{TOKEN}", body, signed(body + b" ")).status == 401


def tried(gateway: Gateway) -> bool:
    """All by the expression, whose breaker does not open; some by each of the others."""
    if gateway.metrics()["comporta_events_recorded_total"] < len(payloads()):
        return False
    open_ = gateway.command("deliveries", "--destination", "expressao", "--state", "pending")
    lines = Lines(gateway)
    failed = lines.of("attempt.failed") + lines.of("delivery.died")
    return not open_ and {line["destination"] for line in failed} >= FAILING


def test_no_line_has_a_text_token_secret_number_or_address_of_what_came_in(
    gateway: Gateway,
) -> None:
    log, hidden = gateway.log, forbidden()
    assert len(hidden) > 100
    assert [one for one in sorted(hidden) if one in log] == []


def test_refused_calls_have_a_line_as_far_as_there_is_room_and_one_in_ten_accepted_ones(
    gateway: Gateway,
) -> None:
    lines = Lines(gateway).of("request.answered")
    accepted = [line for line in lines if line["status"] == 200]
    assert len(accepted) == len(payloads()) // 10
    for line in accepted:
        assert (line["chatwoot"], line["source_kind"]) == ("loja-sp", "account")
        assert line["trace_id"] == TRACE
        assert line["body_bytes"] > 100
        assert line["duration_ms"] > 0
    refused = [line for line in lines if line["status"] != 200]
    assert len(refused) >= LINES_MAX
    assert {line["reason"] for line in refused} == {"bad-signature", "not-json", "unknown-token"}


def test_lines_of_attempts_name_event_delivery_chatwoot_and_trace(gateway: Gateway) -> None:
    lines = Lines(gateway)
    failed = lines.of("attempt.failed") + lines.of("delivery.died")
    assert {line["destination"] for line in failed} == FAILING
    for line in failed + lines.of("bot.saw"):
        assert line["event_id"].startswith("evt_")
        assert line["delivery_id"].startswith("dlv_")
        assert line["chatwoot"] == "loja-sp"
        assert line["trace_id"] == TRACE
    assert lines.of("bot.saw")


def test_every_line_names_the_server(gateway: Gateway) -> None:
    assert {line.get("server") for line in Lines(gateway).all} == {"borda-1"}


def test_nothing_was_written_that_is_not_a_line(gateway: Gateway) -> None:
    assert Path(gateway.folder, "gateway.log").stat().st_size > 0
    assert all(line["event"] for line in Lines(gateway).all)
