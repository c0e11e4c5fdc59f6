"""`comporta destination set`, `pause`, `resume` and `test`."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from comporta.cli.screen import Screen
from comporta.domain import ids
from comporta.domain.delivery import DeliveryState
from comporta.domain.fleet import Destination, Format
from comporta.domain.rate import Rate

EVT = ids.show("evt", 12_345_678_901_234)


def crm(stores: Any) -> Any:
    return stores.ledger.now_fleet.destinations[0]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody who is asked, and agrees; what they were asked."""
    asked: list[str] = []
    monkeypatch.setattr(Screen, "interactive", True)

    def agrees(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr("typer.confirm", agrees)
    return asked


def test_everything_can_be_set_and_is_shown_and_nothing_else_changes(
    comporta: Any, stores: Any
) -> None:
    before = crm(stores)
    ran = comporta(
        *("destination", "set", "crm", "--rate", "50/s", "--burst", "9", "--concurrency", "10"),
        *("--instance-concurrency", "5", "--park", "60", "--class", "contact_updated=ordered"),
        *("--format", "jmespath", "--transform", "{a: b}", "--header", "X-Key=hush-2=="),
    )
    assert ran.code == 0
    now = crm(stores)
    assert replace(now, headers={}) == replace(
        before,
        rate=Rate(50.0, 9),
        concurrency=10,
        instance_concurrency=5,
        park_s=60.0,
        classes=now.classes,
        format=Format.JMESPATH,
        transform="{a: b}",
    )
    assert stores.vault.open(now.headers["x-key"].sealed) == "hush-2=="
    shown = comporta("destination", "show", "crm")
    data = comporta("destination", "show", "crm", "--json").data
    assert data["classes"] == {"contact_updated": "ordered"}
    assert (data["rate"], data["burst"], data["headers"]) == ("50/s", 9, ["x-key"])
    assert "50/s" in shown.out
    assert "hush-2" not in ran.out + ran.err + shown.out + str(data)


def test_none_and_nothing_take_away(comporta: Any, stores: Any) -> None:
    comporta(
        "destination", "set", "crm", "--rate", "50/s", "--header", "a=1", "--class", "x=ordered"
    )
    comporta("destination", "set", "crm", "--rate", "none", "--header", "a=", "--class", "x=")
    assert (crm(stores).rate, crm(stores).headers, crm(stores).classes) == (None, {}, {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "at least one option"),
        (("--header", "Bearer hush-2"), "Write NAME=VALUE"),
        (("--class", "=ordered"), "Write NAME=VALUE"),
        (("--retry", "soon"), "not a list of seconds"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    comporta: Any, stores: Any, arguments: tuple[str, ...], said: str
) -> None:
    before = crm(stores)
    ran = comporta("destination", "set", "crm", *arguments)
    assert (ran.code, said in ran.err) == (2, True)
    assert "hush-2" not in ran.err
    assert crm(stores) is before


def test_a_pause_asks_with_the_count_of_what_will_be_held(
    comporta: Any, stores: Any, person: list[str]
) -> None:
    stores.ledger.dead = 21
    assert comporta("destination", "pause", "crm", "--reason", "maintenance").code == 0
    assert person == ["Pause crm? 42 open deliveries will be held."]
    states = [which.state for which in stores.ledger.asked]
    assert states == [DeliveryState.PENDING, DeliveryState.SCHEDULED]
    assert crm(stores).paused == "maintenance"


def test_a_pause_that_is_not_confirmed_changes_nothing(
    comporta: Any, stores: Any, person: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda _question: False)
    assert comporta("destination", "pause", "--all").code != 0
    assert crm(stores).paused == ""
    assert comporta("destination", "pause", "--all", "--yes").code == 0
    assert crm(stores).paused == "paused"
    assert person == []


def test_a_resumption_says_how_many_go_on(comporta: Any, stores: Any) -> None:
    comporta("destination", "pause", "crm")
    stores.ledger.dead = 3
    assert "6 deliveries go on." in comporta("destination", "resume", "--all").out
    assert crm(stores).paused == ""
    assert "0 deliveries go on." in comporta("destination", "resume", "crm").out


def test_several_are_paused_together_and_a_wrong_name_pauses_none(
    comporta: Any, stores: Any
) -> None:
    comporta("destination", "add", "n8n", "http://n8n/")
    wrong = comporta("destination", "pause", "crm", "n9n")
    assert "n8n" in wrong.err
    assert crm(stores).paused == ""
    ran = comporta("destination", "pause", "crm", "n8n", "crm", "--json")
    assert [one["name"] for one in ran.data["changes"]] == ["crm", "n8n"]
    again = comporta("destination", "pause", "crm", "n8n", "--json")
    assert again.data["applied"] is False


@pytest.mark.parametrize("names", [(), ("crm", "--all")])
def test_which_ones_must_be_said_and_only_once(comporta: Any, names: tuple[str, ...]) -> None:
    assert comporta("destination", "pause", *names).code == 2
    assert comporta("destination", "resume", *names).code == 2


def test_the_request_for_a_stored_event_is_shown_with_headers_masked(
    comporta: Any, stores: Any
) -> None:
    comporta("destination", "set", "crm", "--header", "x-key=hush-2", "--format", "cloudevents")
    ran = comporta("destination", "test", "crm", "--event", EVT)
    assert ran.code == 0
    assert ran.out.startswith("POST http://127.0.0.1:9/hook\n")
    assert "x-key: ***" in ran.out
    assert "ce-source: /instances/loja-sp" in ran.out
    assert "x-chatwoot-delivery: d-1" in ran.out
    assert ran.out.endswith(f"\n\n{stores.ledger.body.decode()}\n")
    assert "hush-2" not in ran.out


def test_the_request_for_a_file_is_shown_or_why_nothing_would_be_sent(
    comporta: Any, tmp_path: Path
) -> None:
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"event": "message_created", "content": "Olá"}))
    arguments = ("destination", "test", "crm", "--event", str(path))
    comporta("destination", "set", "crm", "--format", "jmespath", "--transform", "{text: content}")
    data = comporta(*arguments, "--json").data
    assert (data["sent"], json.loads(data["body"])) == (True, {"text": "Olá"})
    comporta("destination", "set", "crm", "--transform", "missing")
    assert "Nothing would be sent: the transform gave null." in comporta(*arguments).out
    comporta("destination", "set", "crm", "--transform", "abs(content)")
    said = comporta(*arguments)
    assert (said.code, "JMESPathTypeError" in said.out) == (0, True)


def test_a_handlers_destination_is_changed_in_its_module_and_gets_no_request(
    comporta: Any, stores: Any
) -> None:
    answer = Destination("dst_9", "answer", "handler:answer", managed="handlers")
    stores.ledger.now_fleet = replace(stores.ledger.now_fleet, destinations=(answer,))
    changed = comporta("destination", "set", "answer", "--rate", "5/s")
    tried = comporta("destination", "test", "answer", "--event", EVT)
    assert "belongs to a handler" in changed.err
    assert "answer is a handler" in tried.err
    assert comporta("destination", "pause", "answer").code == 0
    assert crm(stores).paused == "paused"


def test_an_event_that_is_not_there_is_an_error_in_words(comporta: Any, stores: Any) -> None:
    other = ids.show("evt", 7 << 30)
    arguments = ("destination", "test", "crm", "--event")
    assert "There is no event" in comporta(*arguments, other).err
    assert comporta(*arguments, "evt_x").code == 2
    assert "cannot be read" in comporta(*arguments, "none.json").err
    stores.ledger.body = None
    assert "is gone" in comporta(*arguments, EVT).err
