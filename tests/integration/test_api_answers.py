"""What the admin API answers: pages, problems, repetition, and changes that the gateway acts on."""

import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.integration.conftest import FLEET, SECRETS, TOKEN, TOKENS, WHSEC
from tests.integration.receiver import Receiver
from tests.support.gateway import Answer, Gateway, wait_for
from tests.support.keys import ask, new_key

EVENTS = 7
DEAD = 4


def not_even(_path: str, body: bytes) -> int:
    """Refuses some, never so many on end that it would seem to be out of order."""
    return 400 if json.loads(body).get("id", 1) % 2 == 0 else 200


class Api:
    """A gateway and an admin's key for it."""

    def __init__(self, gateway: Gateway, crm: Receiver) -> None:
        self.gateway, self.crm = gateway, crm
        self.key = new_key(gateway, "tester", "admin")

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return ask(self.gateway, self.key, method, path, body, **headers)

    def walk(self, path: str, limit: int) -> list[Any]:
        """All items of a list, page by page, along `Link`."""
        found, address = [], f"{path}?limit={limit}"
        while address:
            page = self("GET", address)
            assert len(page.json["items"]) <= limit
            found += page.json["items"]
            link = page.headers.get("link", "")
            assert bool(link) == (page.json["next"] is not None)
            address = link.partition(">")[0].removeprefix("</api/v1")
        return found


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("answers")
    with Receiver(not_even) as crm, Gateway(folder, FLEET.replace("URL", crm.url)) as gateway:
        for number in range(EVENTS):
            body = {"event": "message_created", "id": number, "conversation": {"id": number}}
            assert gateway.post(f"/webhook/{TOKEN}", json.dumps(body)).status == 200
        wait_for("dead letters", lambda: len(gateway.command("dead")) == DEAD)
        yield Api(gateway, crm)


def test_alerts_are_listed_in_the_callers_language_and_acknowledged(api: Api) -> None:
    wait_for("it is open", lambda: api("GET", "/alerts").json["items"])
    (shown,) = api("GET", "/alerts", **{"Accept-Language": "pt-BR"}).json["items"]
    assert (shown["name"], shown["kind"], shown["severity"]) == ("dead", "dead", "warning")
    assert shown["text"].startswith(f"Há entregas mortas: {DEAD}")
    assert shown["values"] == {"n": DEAD}
    assert (shown["acknowledged_at"], shown["resolved_at"]) == (None, None)
    known = api("POST", "/alerts/dead/acknowledge", {}).json
    assert (known["acknowledged_by"], known["opened_at"]) == ("api:tester", shown["opened_at"])
    assert api("GET", "/alerts?over=true").json["items"][0]["acknowledged_at"] is not None


@pytest.mark.parametrize("name", ["lag", "silence:nobody", "a/b", "x" * 300])
def test_what_is_no_open_alert_cannot_be_acknowledged(api: Api, name: str) -> None:
    assert api("POST", f"/alerts/{name}/acknowledge", {}).status == 404


# Pages


@pytest.mark.parametrize("path", ["/events", "/deliveries", "/instances", "/routes"])
@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_walking_the_pages_finds_everything_once_and_in_order(
    api: Api, path: str, limit: int
) -> None:
    assert api.walk(path, limit) == api("GET", f"{path}?limit=200").json["items"]


def test_a_cursor_keeps_its_filter_and_fits_no_other_list(api: Api) -> None:
    page = api("GET", "/events?limit=2&event_type=message_created")
    assert "event_type=message_created" in page.headers["link"]
    for cursor in (page.json["next"], "nonsense", "ZXZlbnRzOi0x"):
        other = api("GET", f"/deliveries?cursor={cursor}")
        assert other.status == 422
        assert other.json["errors"][0]["pointer"] == "cursor"


def test_a_page_has_at_least_one_and_at_most_two_hundred_rows(api: Api) -> None:
    assert api("GET", "/events?limit=0").status == 422
    assert api("GET", "/events?limit=201").status == 422


def test_events_and_deliveries_are_the_ones_that_the_command_line_shows(api: Api) -> None:
    events = api("GET", "/events").json["items"]
    assert [one["id"] for one in events] == [one["id"] for one in api.gateway.command("events")]
    detail = api("GET", f"/events/{events[0]['id']}")
    assert detail.json["has_body"]
    body = api("GET", f"/events/{events[0]['id']}/body")
    assert body.headers["content-type"] == "application/octet-stream"
    shown = api.gateway.command("event", "show", events[0]["id"])
    assert body.body.decode() == shown["body"]
    owed = api("GET", f"/deliveries?event={events[0]['id']}").json["items"]
    tries = api("GET", f"/deliveries/{owed[0]['id']}/attempts").json["items"]
    assert [one["number"] for one in tries] == [1]
    assert api("GET", "/deliveries?instance=loja-rio").json["items"] == []


# Problems


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "no-such-address"),
        ("GET", "/events/evt_0000000000001", 404, "not-found"),
        ("GET", "/events/evt_x", 422, "invalid"),
        ("GET", "/instances/none", 404, "not-found"),
        ("PATCH", "/events", 405, "method"),
        ("GET", "/events?since=yesterday", 422, "invalid"),
        ("GET", "/events?instance=none", 404, "not-found"),
        ("DELETE", "/destinations/crm", 422, "fleet"),
    ],
)
def test_every_refusal_is_a_problem_document(
    api: Api, method: str, path: str, status: int, kind: str
) -> None:
    answer = api(method, path)
    assert answer.status == status == answer.json["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == f"/problems/{kind}"
    assert answer.json["detail"]


def test_a_problem_is_told_in_the_callers_language_to_the_depth(api: Api) -> None:
    wrong = {"name": "x", "url": "ftp://x.test"}
    english = api("POST", "/destinations", wrong, Accept_Language="en")
    portuguese = api("POST", "/destinations", wrong, Accept_Language="pt-BR")
    assert english.headers["content-language"] == "en"
    assert portuguese.headers["content-language"] == "pt-BR"
    for member in ("title", "detail", "reason"):
        assert english.json[member] != portuguese.json[member]


def test_a_body_that_is_too_large_is_refused_at_the_bound(api: Api) -> None:
    just = b'{"name":"' + b"x" * (1024 * 1024 - 11) + b'"}'
    assert len(just) == 1024 * 1024
    assert api("POST", "/instances", just).status == 422
    assert api("POST", "/instances", just + b" ").status == 413
    assert api("POST", "/fleet/plan", just + b" ").status == 422  # there 16 MiB are possible
    chunked = ask(api.gateway, api.key, "GET", "/summary")
    assert chunked.status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"a":', b"\xff", b"[" * 5000])
def test_a_fleet_document_that_is_none_is_refused_in_words(api: Api, body: bytes) -> None:
    answer = api("POST", "/fleet/apply", body)
    assert answer.status == 422
    assert answer.json["errors"]


def test_what_is_wrong_in_a_fleet_document_is_named_by_its_place(api: Api) -> None:
    wrong = {"instance": [{"name": "a"}, {"name": "b", "source": [{"name": "s", "kind": "x"}]}]}
    answer = api("POST", "/fleet/plan", wrong)
    assert answer.json["errors"][0]["pointer"] == "/instance/1/source/0/kind"


@pytest.mark.parametrize("reference", ["env:HOME", "file:/etc/passwd"])
def test_references_are_never_read_for_somebody_far_away(api: Api, reference: str) -> None:
    source = {"name": "s", "kind": "account", "token": reference}
    destination = {"name": "d", "url": "http://d.test", "secret": reference}
    for path, body in (
        ("/instances/loja-sp/sources", source),
        ("/instances/loja-sp/sources", {"name": "s", "secrets": [reference]}),
        ("/instances/loja-sp/sources/conta/tokens", {"token": reference}),
        ("/instances/loja-sp/sources/conta/secrets", {"secret": reference}),
        ("/destinations", destination),
        ("/fleet/apply", {"instance": [{"name": "x", "source": [source]}]}),
        ("/fleet/plan", {"destination": [destination]}),
    ):
        answer = api("POST", path, body)
        assert answer.status == 422, path
        assert "reference" in answer.json["reason"]


# Changes


def test_a_fleet_is_changed_step_by_step_and_as_a_whole(api: Api) -> None:
    exported = api("GET", "/fleet/export")
    assert exported.headers["content-type"].startswith("application/toml")
    same = api("POST", "/fleet/plan", exported.body, Content_Type="application/toml")
    assert same.json["changes"] == []
    assert api("POST", "/instances", {"name": "nova"}).status == 201
    made = api("POST", "/instances/nova/sources", {"name": "conta"}).json["tokens"][0]
    path = made["webhook_url"].partition("8001")[2]
    wait_for("the token works", lambda: api.gateway.post(path, b'{"event":"x"}').status == 200)
    more = api("POST", "/instances/nova/sources/conta/tokens", {}).json["tokens"][0]["token"]
    assert api("DELETE", f"/instances/nova/sources/conta/tokens/{more[:8]}").status == 200
    assert api("POST", "/destinations/crm/pause", {"reason": "férias"}).json["applied"]
    assert api("GET", "/destinations/crm").json["paused"] == "férias"
    assert api("POST", "/destinations/crm/resume").json["applied"]
    back = api("POST", "/fleet/apply", exported.body, Content_Type="application/toml")
    assert {(one["kind"], one["name"]) for one in back.json["changes"]} == {("remove", "nova")}


def test_a_plan_changes_nothing_and_shows_no_token(api: Api) -> None:
    before = api("GET", "/fleet").json
    wanted = {"instance": [{"name": "a", "source": [{"name": "s", "kind": "account"}]}]}
    planned = api("POST", "/fleet/plan", wanted).json
    assert planned["changes"]
    assert planned["tokens"] == []
    assert planned["version"] == before["version"]
    assert api("GET", "/fleet").json == before


def test_dead_letters_are_put_back_in_steps(api: Api) -> None:
    chosen = {"destination": "crm", "limit": 3}
    assert api("POST", "/deliveries/redrive", {}).status == 422
    wait_for("nothing is pending", lambda: api("GET", "/summary").json["pending"] == 0)
    counted = api("POST", "/deliveries/count", {"all": True, "state": "dead"}).json["count"]
    assert counted == DEAD
    assert api("POST", "/destinations/crm/pause", {}).status == 200
    api.crm.decide = lambda _path, _body: 200
    done: list[int] = []
    cursor: str | None = None
    while not done or cursor:
        step = api("POST", "/deliveries/redrive", {**chosen, "cursor": cursor}).json
        done.append(step["done"])
        cursor = step["next"]
    assert sum(done) == counted
    assert max(done) == 3
    assert api("POST", "/destinations/crm/resume").status == 200
    assert api("GET", "/summary").json["dead"] == 0
    wait_for("delivered", lambda: not api("GET", "/deliveries?state=pending").json["items"])
    delivered = api("GET", "/deliveries?state=delivered").json["items"]
    assert len(delivered) == len(api.walk("/deliveries", 200))


# Repetition


def test_a_repeated_request_is_carried_out_once_and_answered_alike(api: Api) -> None:
    wanted = {"name": "once", "scope": "read"}
    first = api("POST", "/api-keys", wanted, Idempotency_Key="a-1")
    again = api("POST", "/api-keys", wanted, Idempotency_Key="a-1")
    assert first.status == again.status == 201
    assert first.body == again.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    stored = b"".join(p.read_bytes() for p in api.gateway.data.rglob("*") if p.is_file())
    assert first.json["key"].encode() not in stored


def test_a_key_of_another_request_is_refused(api: Api) -> None:
    assert api("POST", "/destinations/crm/resume", Idempotency_Key="b-1").status == 200
    for path, body in (
        ("/destinations/crm/resume", {}),
        ("/deliveries/redrive", {"all": True}),
    ):
        other = api("POST", path, body, Idempotency_Key="b-1")
        assert other.status == 422
        assert other.json["type"] == "/problems/other-request"


def test_what_was_refused_may_be_sent_again_with_the_same_key(api: Api) -> None:
    wanted = {"secret": "one-more-secret"}
    path = "/instances/later/sources/conta/secrets"
    assert api("POST", path, wanted, Idempotency_Key="c-1").status == 404
    api("POST", "/instances", {"name": "later"})
    api("POST", "/instances/later/sources", {"name": "conta"})
    assert api("POST", path, wanted, Idempotency_Key="c-1").status == 201
    assert api("DELETE", "/instances/later").status == 200


def test_of_requests_at_once_with_one_key_one_is_carried_out(api: Api) -> None:
    def send(_number: int) -> Answer:
        return api("POST", "/instances", {"name": "at-once"}, Idempotency_Key="d-1")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert {one.status for one in answers} <= {201, 409, 503}
    fresh = [one for one in answers if one.status == 201]
    assert sum("idempotent-replayed" not in one.headers for one in fresh) == 1
    assert api("DELETE", "/instances/at-once").status == 200


def test_a_key_for_repetition_has_one_to_255_printable_characters(api: Api) -> None:
    for key in ("x" * 256, "\xe9"):
        assert api("POST", "/destinations/crm/resume", Idempotency_Key=key).status == 422
    longest = api("POST", "/destinations/crm/resume", Idempotency_Key="x" * 255)
    assert longest.status == 200


def test_an_answer_that_changed_nothing_is_not_kept(api: Api) -> None:
    for _again in range(2):
        answer = api("POST", "/deliveries/count", {"all": True}, Idempotency_Key="e-1")
        assert answer.status == 200
        assert "idempotent-replayed" not in answer.headers


# Trials


def test_routes_are_tried_with_a_body_as_text_or_base64_or_a_stored_event(api: Api) -> None:
    body = json.dumps({"event": "message_created", "content": "Olá"})
    fits = {"name": "tudo", "fits": True, "to": ["crm"], "miss": None, "error": ""}
    for given in ({"body": body}, {"body_base64": b64encode(body.encode()).decode()}):
        tried = api("POST", "/routes/test", {"instance": "loja-sp", **given}).json
        assert tried == {
            "instance": "loja-sp",
            "event_type": "message_created",
            "fits": True,
            "routes": [fits],
        }
    stored = api("GET", "/events?limit=1").json["items"][0]["id"]
    assert api("POST", "/routes/test", {"event": stored, "route": "tudo"}).json["fits"]


def test_a_route_that_does_not_fit_says_the_first_reason(api: Api) -> None:
    route = {"name": "vip", "to": ["crm"], "where": {"inbox_id": [12, 13]}}
    assert api("POST", "/routes", route).status == 201
    body = json.dumps({"event": "message_created", "inbox": {"id": 14}})
    asked = {"instance": "loja-rio", "body": body, "route": "vip"}
    tried = api("POST", "/routes/test", asked).json
    assert tried["fits"] is False
    (one,) = tried["routes"]
    assert one["miss"] == {
        "part": "where",
        "condition": "inbox_id",
        "wanted": [12, 13],
        "found": 14,
    }
    assert api("DELETE", "/routes/vip").status == 200


def test_a_request_is_shown_without_secrets_signature_or_delivery(api: Api) -> None:
    before = len(api.crm.arrived)
    assert api("PATCH", "/destinations/crm", {"headers": {"X-Key": "hush-2"}}).status == 200
    body = json.dumps({"event": "message_created", "content": "Olá"})
    key = new_key(api.gateway, "only-looks", "read")
    answer = ask(api.gateway, key, "POST", "/destinations/crm/test", {"body": body})
    tried = answer.json
    assert (answer.status, tried["sent"], tried["body"]) == (200, True, body)
    assert tried["headers"]["x-key"] == tried["headers"]["webhook-signature"] == "***"
    assert tried["headers"]["comporta-instance"] == "example"
    assert b"hush-2" not in answer.body
    assert len(api.crm.arrived) == before
    assert api("PATCH", "/destinations/crm", {"headers": {"X-Key": None}}).status == 200


@pytest.mark.parametrize(
    ("asked", "status", "pointer"),
    [
        ({}, 422, ""),
        ({"event": "evt_0000000000001", "body": "{}"}, 422, ""),
        ({"event": "evt_x"}, 422, "/event"),
        ({"event": "evt_0000000000001", "instance": "loja-sp"}, 422, "/instance"),
        ({"event": "evt_0000000000001"}, 404, None),
        ({"body": "{}"}, 422, "/instance"),
        ({"body": "{}", "instance": "loja"}, 404, None),
        ({"body": "{}", "instance": "loja-sp", "route": "none"}, 404, None),
        ({"body": "[]", "instance": "loja-sp"}, 422, None),
        ({"body_base64": "?", "instance": "loja-sp"}, 422, "/body_base64"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_its_place(
    api: Api, asked: dict[str, str], status: int, pointer: str | None
) -> None:
    answer = api("POST", "/routes/test", asked)
    assert answer.status == status
    if pointer is not None:
        assert answer.json["errors"][0]["pointer"] == pointer


def test_a_trial_takes_four_mebibytes_and_no_more(api: Api) -> None:
    def tried(total_bytes: int) -> int:
        asked = {"instance": "loja-sp", "body": "{}"}
        filled = json.dumps(asked).encode()
        return api("POST", "/routes/test", filled.ljust(total_bytes)).status

    assert (tried(4 * 1024**2), tried(4 * 1024**2 + 1)) == (200, 413)


# Secrets


def test_no_secret_stands_in_an_answer_or_in_the_log(api: Api) -> None:
    told = b"".join(
        api("GET", path).body
        for path in ("/fleet", "/fleet/export", "/instances?limit=200", "/destinations", "/events")
    ).decode()
    for secret in (*TOKENS, *SECRETS, WHSEC, "one-more-secret"):
        assert secret not in told
        assert secret not in api.gateway.log
