"""`comporta why`, asked of a real gateway with six kinds of trouble, an instance for each."""

import datetime as dt
import hashlib
import hmac
import itertools
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.commands import run_command
from tests.support.gateway import Gateway, wait_for

SLOW_S = 2.2
SECRET = "secret-of-all-of-them"
NAMES = ("well", "slow", "down", "late", "refused", "quiet", "far")
_numbers = itertools.count(1)

FLEET = "".join(
    f"""
[[instance]]
name = "{name}"
[[instance.source]]
name = "conta"
kind = "account"
token = "token-of-{name}-here"
secrets = ["{SECRET}"]

[[destination]]
name = "to-{name}"
url = "URL/{name}"
retry = [2, 2, 2, 60]

[[route]]
name = "{name}"
instances = ["{name}"]
events = ["*"]
to = ["to-{name}"]
"""
    for name in NAMES
)


def send(gateway: Gateway, name: str, made_s: float = 0, sent_s: float = 0) -> int:
    """An event that was made, and sent, so many seconds ago; the status of the answer."""
    made = dt.datetime.fromtimestamp(time.time() - made_s, dt.UTC).isoformat()
    number = next(_numbers)
    event = {"event": "message_created", "id": number, "created_at": made}
    body = msgspec.json.encode(event | {"conversation": {"id": number}})
    at_s = str(int(time.time() - sent_s))
    key = SECRET if name != "refused" else "another-secret"
    mac = hmac.new(key.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Chatwoot-Timestamp": at_s, "X-Chatwoot-Signature": f"sha256={mac}"}
    return gateway.post(f"/webhook/token-of-{name}-here", body, headers).status


def answered(path: str, _body: bytes) -> int:
    if path == "/slow":
        time.sleep(SLOW_S)
    return 503 if path == "/down" else 200


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """All have sent, and what became of it is known."""
    folder = tmp_path_factory.mktemp("why")
    with Receiver(answered) as receiver:
        gateway = Gateway(folder, FLEET.replace("URL", receiver.url))
        gateway.environment["COMPORTA_PORT"] = str(gateway.port)
        with gateway:
            assert {send(gateway, "slow") for _ in range(3)} == {200}
            assert {send(gateway, "down") for _ in range(8)} == {200}
            assert {send(gateway, "well") for _ in range(3)} == {200}
            assert {send(gateway, "late", made_s=90) for _ in range(3)} == {200}
            assert {send(gateway, "far", made_s=s, sent_s=s) for s in (0, 9, 9, 9)} == {200}
            assert {send(gateway, "refused") for _ in range(2)} == {401}
            wait_for("all is as it is meant", lambda: told(gateway))
            yield gateway


def told(gateway: Gateway) -> bool:
    delivered = gateway.command("deliveries", "--state", "delivered")
    refused = gateway.command("rejected")
    breakers = gateway.ask(lambda stores: stores.state.breakers())
    return len(delivered) == 3 + 3 + 3 + 4 and len(refused) == 2 and bool(breakers)


def why(gateway: Gateway, name: str, *more: str) -> Any:
    return gateway.command("why", name, *more)


def signs(said: Any) -> list[str]:
    return [one["sign"] for one in said["findings"]]


def test_where_all_is_well_nothing_is_wrong_and_the_numbers_are_there(gateway: Gateway) -> None:
    said = why(gateway, "well")
    assert (said["verdict"], said["findings"]) == ("nothing", [])
    numbers = said["numbers"]
    assert (numbers["events"], numbers["workers"]) == (3, 1)
    assert numbers["answer_p99_s"] > 0
    assert numbers["log_lag"] is not None
    assert numbers["sending"]["count"] == numbers["way"]["count"] == 3
    (receiver,) = numbers["receivers"]
    assert (receiver["destination"], receiver["attempts"], receiver["failed"]) == ("to-well", 3, 0)


def test_a_slow_destination(gateway: Gateway) -> None:
    said = why(gateway, "slow")
    assert (said["verdict"], signs(said)) == ("destination", ["slow"])
    (found,) = said["findings"]
    assert found["destination"] == "to-slow"
    assert SLOW_S <= found["value"] < SLOW_S + 3


def test_a_destination_whose_breaker_is_open(gateway: Gateway) -> None:
    said = why(gateway, "down")
    assert said["verdict"] == "destination"
    assert set(signs(said)) == {"breaker", "failing"}
    assert {one["destination"] for one in said["findings"]} == {"to-down"}
    assert "HTTP 503" in {one["detail"] for one in said["findings"]}


def test_a_chatwoot_that_sends_late(gateway: Gateway) -> None:
    said = why(gateway, "late")
    assert (said["verdict"], signs(said)) == ("sender", ["sent_late"])
    assert 88 <= said["findings"][0]["value"] <= 95


def test_calls_that_were_long_on_the_way(gateway: Gateway) -> None:
    said = why(gateway, "far")
    assert (said["verdict"], signs(said)) == ("network", ["travelled_late"])


def test_a_signature_that_is_not_right(gateway: Gateway) -> None:
    said = why(gateway, "refused")
    assert (said["verdict"], signs(said)) == ("sender", ["refused_theirs"])
    assert said["findings"][0]["value"] == 2
    assert "signature" in said["findings"][0]["detail"]


def test_an_instance_that_sent_nothing_is_quiet(gateway: Gateway) -> None:
    said = why(gateway, "quiet")
    assert (said["verdict"], said["findings"]) == ("quiet", [])
    assert said["numbers"]["last_event_at"] is None


def test_what_was_before_the_window_does_not_count_but_the_last_event_is_told(
    gateway: Gateway,
) -> None:
    said = why(gateway, "late", "--since", "2099-01-01")
    assert said["verdict"] == "quiet"
    assert said["numbers"]["last_event_at"]


def test_it_speaks_both_languages_and_exits_with_0_whatever_it_finds(gateway: Gateway) -> None:
    english = run_command("why", "refused", env=gateway.environment)
    portuguese = run_command("why", "refused", "--lang", "pt-BR", env=gateway.environment)
    assert (english.code, portuguese.code) == (0, 0)
    assert english.out.startswith("refused: it is them.")
    assert "Calls that were refused: 2 (The signature is not right" in english.out
    assert portuguese.out.startswith("refused: é do lado deles.")
    assert "Chamadas recusadas: 2 (A assinatura" in portuguese.out
    unknown = run_command("why", "welll", env=gateway.environment)
    assert unknown.code == 3
    assert "well" in unknown.err


def test_a_running_gateway_can_be_asked_through_its_api(gateway: Gateway) -> None:
    key = gateway.command("api-key", "create", "why", "--scope", "read")["key"]
    away = gateway.environment | {"COMPORTA_API_KEY": key, "COMPORTA_API": gateway.url}
    for name in ("down", "late", "refused", "well"):
        said = run_command("why", name, "--json", env=away)
        assert said.code == 0, said.err
        assert said.data["verdict"] == why(gateway, name)["verdict"]
        assert said.data["numbers"]["workers"] == 1


def test_a_gateway_that_does_not_run_is_us(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("stopped")
    stopped = Gateway(folder, FLEET.replace("URL", "http://127.0.0.1:9"))
    stopped.command("apply", str(stopped.fleet_file), "--yes")
    said = run_command("why", "well", env=stopped.environment)
    assert said.code == 0
    assert said.out.startswith("well: it is us.")
    assert "is the gateway running?" in said.out
    assert "does not answer" in said.err
