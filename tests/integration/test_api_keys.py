"""Who may do what over the admin API: every operation, with every kind of key."""

import json
import time
from collections.abc import Iterator

import pytest
from tests.integration.conftest import FLEET
from tests.support.gateway import ROOT, Gateway, wait_for
from tests.support.keys import ask, new_key

SCOPES = ("read", "operate", "admin")
DESCRIPTION = json.loads((ROOT / "docs/reference/openapi.json").read_text())
OPERATIONS = [
    (method.upper(), path.removeprefix("/api/v1"), operation["x-scope"])
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
]
NOWHERE = {"name": "gone", "source": "gone", "digest": "0" * 12, "id": "gone"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("guarded")
    with Gateway(folder, FLEET.replace("URL", "http://127.0.0.1:9")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def keys(guarded: Gateway) -> dict[str, str]:
    made = {scope: new_key(guarded, f"only-{scope}", scope) for scope in SCOPES}
    made["revoked"] = new_key(guarded, "revoked", "admin")
    guarded.command("api-key", "revoke", "revoked", "--yes")
    return made


@pytest.mark.parametrize(("method", "path", "needed"), OPERATIONS)
def test_an_operation_is_open_to_the_scopes_that_cover_it_and_to_no_other(
    guarded: Gateway, keys: dict[str, str], method: str, path: str, needed: str
) -> None:
    path = path.format(**NOWHERE)
    body = {"nonsense": True} if method == "POST" else None
    for wrong in ("", "cmp_" + "x" * 43, keys["revoked"]):
        refused = ask(guarded, wrong, method, path, body)
        assert refused.status in {401, 429}  # so many come without a key that they are slowed down
        assert refused.headers["content-type"] == "application/problem+json"
        if refused.status == 401:
            assert refused.headers["www-authenticate"].startswith("Bearer")
    for scope in SCOPES:
        answer = ask(guarded, keys[scope], method, path, body)
        if SCOPES.index(scope) < SCOPES.index(needed):
            assert answer.status == 403
            assert answer.json["type"] == "/problems/scope"
        else:
            assert answer.status in {200, 201, 404, 422}


def test_basic_credentials_and_other_schemes_are_no_key(guarded: Gateway) -> None:
    for header in ("Basic Y21wOng=", "Bearer", "Bearer " + "x" * 5000, "cmp_x"):
        answer = guarded.get("/api/v1/summary", Authorization=header)
        assert answer.status in {401, 429}


def test_who_comes_too_often_without_a_key_is_slowed_down_but_a_valid_key_passes(
    guarded: Gateway, keys: dict[str, str]
) -> None:
    wait_for("429", lambda: ask(guarded, "cmp_wrong", "GET", "/summary").status == 429)
    late = ask(guarded, "cmp_wrong", "GET", "/summary")
    assert int(late.headers["retry-after"]) > 0
    assert ask(guarded, keys["read"], "GET", "/summary").status == 200


def test_a_revoked_key_is_useless_within_a_second(guarded: Gateway) -> None:
    key = new_key(guarded, "short-lived", "read")
    assert ask(guarded, key, "GET", "/summary").status == 200
    guarded.command("api-key", "revoke", "short-lived", "--yes")
    revoked_at = time.monotonic()
    wait_for("401", lambda: ask(guarded, key, "GET", "/summary").status in {401, 429}, 5)
    assert time.monotonic() - revoked_at < 1


def test_a_key_that_the_api_makes_works_at_once_and_is_shown_once(
    guarded: Gateway, keys: dict[str, str]
) -> None:
    made = ask(guarded, keys["admin"], "POST", "/api-keys", {"name": "robo", "scope": "read"})
    assert made.status == 201
    assert ask(guarded, made.json["key"], "GET", "/summary").status == 200
    listed = ask(guarded, keys["admin"], "GET", "/api-keys?limit=200")
    one = next(each for each in listed.json["items"] if each["name"] == "robo")
    assert "key" not in one
    assert one["created_by"] == "api:only-admin"
    assert made.json["key"] not in listed.body.decode()
    gone = ask(guarded, keys["admin"], "DELETE", "/api-keys/robo")
    assert gone.json["revoked_at"]
    assert ask(guarded, made.json["key"], "GET", "/summary").status in {401, 429}


def test_a_name_is_given_to_one_live_key_only(guarded: Gateway, keys: dict[str, str]) -> None:
    wanted = {"name": "only-read", "scope": "admin"}
    taken = ask(guarded, keys["admin"], "POST", "/api-keys", wanted)
    assert taken.status == 409
    assert "only-read" in taken.json["reason"]


def test_when_a_key_was_last_used_is_told(guarded: Gateway, keys: dict[str, str]) -> None:
    ask(guarded, keys["operate"], "GET", "/summary")
    listed = guarded.command("api-key", "list")
    assert next(one for one in listed if one["name"] == "only-operate")["last_used_at"]
    assert next(one for one in listed if one["name"] == "revoked")["revoked_at"]


def test_no_key_stands_in_the_log_or_in_a_store(guarded: Gateway, keys: dict[str, str]) -> None:
    stored = b"".join(path.read_bytes() for path in guarded.data.rglob("*") if path.is_file())
    for key in keys.values():
        assert key not in guarded.log
        assert key.encode() not in stored
