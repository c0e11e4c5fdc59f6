"""Who may call, and how a caller can show who it is, through a running gateway."""

import base64
import http.client
import itertools
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from hmac import new as hmac
from importlib import resources
from statistics import median
from typing import Any

import pytest
from tests.integration.conftest import (
    API_TOKEN,
    BOT_TOKEN,
    OLD_TOKEN,
    OTHER_TOKEN,
    SECRETS,
    SIGNED_TOKEN,
    TOKEN,
    TOKENS,
)
from tests.integration.receiver import Receiver
from tests.support.gateway import Answer, Gateway, wait_for

from comporta.ledger.port import EventFilter, EventRow

PAYLOADS = resources.files("comporta.testing") / "payloads"
_numbers = itertools.count(1)


def body() -> bytes:
    """A new event, unlike all before."""
    return b'{"event": "message_created", "id": %d, "conversation": {"id": 1}}' % next(_numbers)


def basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def signed(data: bytes, secret: str, at_s: float) -> dict[str, str]:
    """Chatwoot's headers, made by hand."""
    stamp = str(int(at_s))
    mac = hmac(secret.encode(), stamp.encode() + b"." + data, sha256).hexdigest()
    return {"X-Chatwoot-Timestamp": stamp, "X-Chatwoot-Signature": f"sha256={mac}"}


def problem(answer: Answer) -> tuple[int, str]:
    """Status and problem type of a refusal, whose form is checked on the way."""
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json
    assert said["status"] == answer.status
    assert said["title"]
    assert said["detail"]
    return answer.status, said["type"]


def arrived(crm: Receiver, data: bytes) -> bool:
    return data in crm.bodies()


SHOWN: list[tuple[str, dict[str, str]]] = [
    (f"/webhook/{TOKEN}", {}),
    (f"/webhook/{TOKEN}/", {}),
    (f"/webhook/{OLD_TOKEN}", {}),
    ("/webhook", {"Authorization": f"Bearer {TOKEN}"}),
    ("/webhook/", {"Authorization": f"bearer  {OLD_TOKEN}"}),
    ("/webhook", basic(f"chatwoot:{TOKEN}")),
    ("/webhook/", basic(f":{TOKEN}")),
    (f"/webhook?token={TOKEN}", {}),
    (f"/webhook/?a=b&token={TOKEN}", {}),
    (f"/webhook/{TOKEN}?token=ignored-for-the-path-wins", {}),
]


@pytest.mark.parametrize(("path", "headers"), SHOWN)
def test_every_way_of_showing_a_token_is_taken_and_none_is_redirected(
    gateway: Gateway, crm: Receiver, path: str, headers: dict[str, str]
) -> None:
    data = body()
    answer = gateway.post(path, data, headers)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    wait_for("the event arrives", lambda: arrived(crm, data))


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/webhook", {}, (401, "/problems/no-token")),
        ("/webhook/", {}, (401, "/problems/no-token")),
        ("/webhook?token=", {}, (401, "/problems/no-token")),
        ("/webhook", {"Authorization": "Bearer "}, (401, "/problems/no-token")),
        ("/webhook", {"Authorization": "Basic %%%"}, (401, "/problems/no-token")),
        ("/webhook", {"Authorization": f"Digest {TOKEN}"}, (401, "/problems/no-token")),
        ("/webhook/nobodys-token-of-all", {}, (404, "/problems/unknown-token")),
        (f"/webhook/{TOKEN}/more", {}, (404, "/problems/unknown-token")),
        (f"/webhook/{TOKEN}x", {}, (404, "/problems/unknown-token")),
        (f"/webhook/{TOKEN.upper()}", {}, (404, "/problems/unknown-token")),
        (f"/webhook/{'x' * 5000}", {}, (404, "/problems/unknown-token")),
        ("/webhook/%00%ff%c3%28", {}, (404, "/problems/unknown-token")),
        ("/webhook", basic(f"{TOKEN}:nobodys-token-of-all"), (404, "/problems/unknown-token")),
    ],
)
def test_who_shows_no_token_or_an_unknown_one_is_refused(
    gateway: Gateway, path: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = gateway.post(path, body(), headers)
    assert problem(answer) == expected
    assert ("www-authenticate" in answer.headers) == (expected[0] == 401)


def test_the_instance_header_has_to_name_the_tokens_own_instance(gateway: Gateway) -> None:
    own_id = gateway.ask(lambda stores: stores.ledger.fleet()).instances[0].id
    for name, status in (("loja-sp", 200), (own_id, 200), ("loja-rio", 403), ("Loja-SP", 403)):
        answer = gateway.post(f"/webhook/{TOKEN}", body(), {"X-Chatwoot-Instance-Id": name})
        assert answer.status == status
    assert problem(answer) == (403, "/problems/wrong-instance")
    there = gateway.post(
        "/webhook", body(), {"X-Chatwoot-Instance-Id": "loja-rio", **basic(f"x:{OTHER_TOKEN}")}
    )
    assert there.status == 200


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("age_s", [0, 290, -290])
def test_a_signature_by_any_live_secret_is_taken_within_the_tolerance(
    gateway: Gateway, secret: str, age_s: int
) -> None:
    data = body()
    headers = signed(data, secret, time.time() - age_s)
    assert gateway.post(f"/webhook/{SIGNED_TOKEN}", data, headers).status == 200


def bad_signatures() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    data = body()
    right = signed(data, SECRETS[0], time.time())
    yield "missing", data, {}
    yield "missing", data, {"X-Chatwoot-Timestamp": right["X-Chatwoot-Timestamp"]}
    yield "timestamp", data, {"X-Chatwoot-Signature": right["X-Chatwoot-Signature"]}
    yield "timestamp", data, right | {"X-Chatwoot-Timestamp": "soon"}
    yield "timestamp", data, right | {"X-Chatwoot-Timestamp": "-1"}
    yield "timestamp", data, right | {"X-Chatwoot-Timestamp": "9" * 500}
    yield "wrong", data + b" ", right
    yield "wrong", data, right | {"X-Chatwoot-Signature": "sha256="}
    yield "wrong", data, right | {"X-Chatwoot-Signature": "sha256=\xe9\xe9"}
    yield "wrong", data, signed(data, "another secret", time.time())
    yield "tolerance", data, signed(data, SECRETS[0], time.time() - 310)
    yield "tolerance", data, signed(data, SECRETS[1], time.time() + 310)


def test_a_signature_that_is_wrong_missing_or_too_old_is_refused_with_the_reason(
    gateway: Gateway,
) -> None:
    for reason, data, headers in bad_signatures():
        answer = gateway.post(f"/webhook/{SIGNED_TOKEN}", data, headers)
        assert problem(answer) == (401, "/problems/bad-signature"), reason
        assert reason in answer.json["reason"]


def test_chatwoots_own_signatures_are_right_and_only_too_old(gateway: Gateway) -> None:
    """Their timestamps are fixed: "too old" is said only of what is otherwise right."""
    vectors = json.loads((PAYLOADS / "signature_vectors.json").read_bytes())
    mine = [vector for vector in vectors if vector["secret"] in SECRETS]
    assert len(mine) >= 3
    for vector in mine:
        data = (PAYLOADS / vector["body_file"]).read_bytes()
        answer = gateway.post(f"/webhook/{SIGNED_TOKEN}", data, vector["headers"])
        assert "outside the tolerance" in answer.json["reason"]
        changed = gateway.post(f"/webhook/{SIGNED_TOKEN}", data[:-1] + b" ", vector["headers"])
        assert "wrong" in changed.json["reason"]


def test_events_of_a_source_without_a_secret_are_marked_unverified(gateway: Gateway) -> None:
    plain, proven = body(), body()
    assert gateway.post(f"/webhook/{TOKEN}", plain).status == 200
    headers = signed(proven, SECRETS[1], time.time())
    assert gateway.post(f"/webhook/{SIGNED_TOKEN}", proven, headers).status == 200
    fleet = gateway.ask(lambda stores: stores.ledger.fleet())
    sources = {source.name: source.id for source in fleet.instances[0].sources}

    def verified(name: str) -> set[bool]:
        return {row.verified for row in _events(gateway) if row.source_id == sources[name]}

    wait_for("both are recorded", lambda: verified("conta") and verified("assinada"))
    assert (verified("conta"), verified("assinada")) == ({False}, {True})
    listed = gateway.command("events", "--limit", "500")
    assert {event["verified"] for event in listed} == {True, False}


def _events(gateway: Gateway) -> list[EventRow]:
    return gateway.ask(lambda stores: stores.ledger.events(EventFilter(limit=500)))


def test_a_bot_and_an_api_inbox_are_taken_as_well(gateway: Gateway, crm: Receiver) -> None:
    for token in (BOT_TOKEN, API_TOKEN):
        data = body()
        assert gateway.post(f"/webhook/{token}", data).status == 200
        wait_for("the event arrives", lambda data=data: arrived(crm, data))  # type: ignore[misc]


@pytest.mark.alone
def test_an_unknown_token_takes_the_time_of_a_wrong_signature(gateway: Gateway) -> None:
    data = b'{"event": "message_created", "pad": "%b"}' % (b"x" * 8_000_000)
    wrong = signed(b"another body", SECRETS[0], time.time())
    took: dict[int, list[float]] = {401: [], 404: []}
    for _ in range(7):
        for status, token in ((401, SIGNED_TOKEN), (404, "nobodys-token-of-all")):
            began_at = time.perf_counter()
            assert gateway.post(f"/webhook/{token}", data, wrong).status == status
            took[status].append(time.perf_counter() - began_at)
    assert 0.4 < median(took[401]) / median(took[404]) < 2.5


def test_tokens_reach_no_log_and_no_list_of_refused_requests(gateway: Gateway) -> None:
    marks = {"X-Api-Key": "a-key-of-a-proxy", "Cookie": "session=a-cookie-of-a-proxy"}
    for token in TOKENS:
        for path, headers in (
            (f"/webhook/{token}", {}),
            (f"/webhook/{token}/more", {}),
            (f"/webhook?token={token}", {}),
            ("/webhook", {"Authorization": f"Bearer {token}"}),
            ("/webhook", basic(f"user:{token}")),
        ):
            gateway.post(path, b"not json", {**headers, **marks})
            gateway.request("GET", path, None, headers)
            gateway.request("POST", path, b"{}", {"Content-Length": "nonsense", **headers})

    def rows() -> Any:
        return gateway.ask(lambda stores: stores.state.rejected(1000))

    wait_for("they are kept", lambda: [r for r in rows() if dict(r.headers).get("cookie")])
    kept = repr(rows()) + json.dumps(gateway.command("rejected", "--limit", "1000"))
    pairs = [basic(f"user:{token}")["Authorization"][6:] for token in TOKENS]
    for secret in (*TOKENS, *pairs, *SECRETS, *("a-key-of-a-proxy", "a-cookie-of-a-proxy")):
        assert secret not in kept
        assert secret not in gateway.log
    assert "not valid JSON" in kept
    assert {row.path for row in rows()} <= {"/webhook", "/webhook/***"}


def test_the_caller_of_a_refused_call_is_known_on_a_connection_that_had_one_taken_in(
    gateway: Gateway,
) -> None:
    """Balancers keep their connections, and the first call of one may be a good one."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    headers = {"Content-Type": "application/json"}
    statuses = []
    for path in (f"/webhook/{TOKEN}", "/webhook/nobody-has-this-one"):
        connection.request("POST", path, body(), headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [200, 404]
    assert gateway.command("rejected", "--limit", "1")[0]["peer"] == "127.0.0.1"
