"""The routes for people and machines, asked over ASGI: who is asked for what, and what it says."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from comporta.control import control_app
from comporta.ledger.port import LedgerTotals
from comporta.log.port import LogHealth
from comporta.state.port import WorkerRow
from comporta.telemetry.health import HealthInputs
from comporta.telemetry.metrics import Metrics
from comporta.telemetry.tally import Tally

WELL = HealthInputs(
    version="1",
    now_ms=1_000_000,
    started_at_ms=0,
    log=LogHealth("sqlite"),
    ledger_engine="sqlite",
    state_engine="sqlite",
    partitions=16,
    pending_bytes=0,
    pending_bytes_max=1024,
    lag=0,
    totals=LedgerTotals(pending=0, scheduled=0, dead=0, oldest_open_at_ms=0),
    workers=(WorkerRow("w1", 11, 0, 999_500, 16),),
)


class Reply(msgspec.Struct, frozen=True):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    path: str,
    inputs: HealthInputs | None = WELL,
    method: str = "GET",
    token: str = "",
    **headers: str,
) -> Reply:
    """Ask; without inputs, the stores never answer."""

    async def known() -> HealthInputs:
        if inputs is None:
            await asyncio.Event().wait()
        assert inputs is not None
        return inputs

    app: ASGIApp = control_app(known, Metrics(Tally()), token)
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "root_path": "",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        async with asyncio.timeout(5):
            await app(scope, receive, send)

    asyncio.run(run())
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], names, b"".join(one.get("body", b"") for one in sent))


def changed(**changes: Any) -> HealthInputs:
    return msgspec.structs.replace(WELL, **changes)


def test_a_worker_is_alive_even_if_no_store_answers() -> None:
    reply = ask("/livez", inputs=None)
    assert (reply.status, reply.body) == (200, b'{"alive":true}')


@pytest.mark.parametrize(
    ("inputs", "status"),
    [(WELL, 200), (changed(draining=True), 503), (changed(log=LogHealth("sqlite", "full")), 503)],
)
def test_readiness_is_what_balancers_act_upon(inputs: HealthInputs, status: int) -> None:
    reply = ask("/readyz", inputs)
    assert reply.status == status
    assert json.loads(reply.body)["ready"] is (status == 200)


def test_health_is_down_only_when_webhooks_cannot_be_stored() -> None:
    assert ask("/health").status == 200
    assert ask("/health", changed(lag=None, totals=None, workers=None)).status == 200
    assert ask("/health", changed(log=LogHealth("sqlite", "The disk is full."))).status == 503


def test_people_get_text_in_their_language_and_programs_get_json() -> None:
    for accept in ("", "*/*", "application/json"):
        reply = ask("/health", accept=accept, accept_language="pt-BR")
        assert reply.headers["content-type"] == "application/json"
        assert json.loads(reply.body)["status"] == "ok"
    reply = ask("/health", accept="text/html", accept_language="pt-BR")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    english = ask("/health", accept="text/html", accept_language="en")
    assert reply.body != english.body


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = f"{OPENMETRICS};version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2"


def test_metrics_are_in_the_form_that_is_asked_for() -> None:
    plain = ask("/metrics", inputs=None)
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE comporta_log_commits_total counter\n" in plain.body
    asked = ask("/metrics", inputs=None, accept=PROMETHEUS)
    assert asked.headers["content-type"].startswith(f"{OPENMETRICS}; version=1.0.0;")
    found: Any = text_string_to_metric_families(asked.body.decode())  # type: ignore[no-untyped-call]
    families = {one.name: one for one in found}
    assert families["comporta_log_commits"].type == "counter"
    assert asked.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer wrong", "Bearer secrets", "Basic secret", "secret", "Bearer \xe9"],
)
def test_metrics_with_a_token_are_shown_to_nobody_without_it(shown: str) -> None:
    reply = ask("/metrics", token="secret", authorization=shown, accept_language="pt-BR")
    problem = json.loads(reply.body)
    assert (reply.status, problem["type"]) == (401, "/problems/metrics-token")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.headers["content-language"] == "pt-BR"
    assert b"comporta_" not in reply.body


def test_metrics_with_a_token_are_shown_to_who_has_it_and_health_to_all() -> None:
    for shown in ("Bearer secret", "bearer  secret"):
        assert ask("/metrics", token="secret", authorization=shown).status == 200
    assert [ask(path, token="secret").status for path in ("/health", "/livez", "/readyz")] == [
        200
    ] * 3


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/metrics"])
def test_no_answer_is_kept_by_anybody_and_only_reading_is_allowed(path: str) -> None:
    assert ask(path).headers["cache-control"] == "no-store"
    assert ask(path, method="HEAD").status == 200
    assert ask(path, method="POST").status == 405
    other = ask(path + "/")
    assert (other.status, "location" in other.headers) == (404, False)
