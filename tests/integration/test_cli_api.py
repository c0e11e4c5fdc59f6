"""The command line through `--api` says and does what it says and does on the gateway's machine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import FLEET, SECRETS, TOKEN
from tests.integration.receiver import Receiver
from tests.support.commands import Said, run_command
from tests.support.gateway import ROOT, Gateway, wait_for
from tests.support.keys import new_key

EVENTS = 230
"""More than a page of the API has."""
DEAD = 5


def picky(_path: str, body: bytes) -> int:
    """Refuses one now and then."""
    return 400 if json.loads(body).get("id", 1) % 50 == 0 else 200


class Elsewhere:
    """A person on another machine: no data folder of the gateway, its URL and a key."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway, self.folder = gateway, folder
        folder.mkdir()
        self.key_file = folder / "api.key"
        self.key_file.write_text(new_key(gateway, "elsewhere", "admin") + "\n")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPORTA_")}
        self.environment |= {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}

    def __call__(self, *arguments: str, **environment: str) -> Said:
        there = ("--api", self.gateway.url, "--api-key-file", str(self.key_file))
        return run_command(*arguments, *there, env=self.environment | environment, cwd=self.folder)

    def data(self, *arguments: str, **environment: str) -> Any:
        said = self(*arguments, "--json", **environment)
        assert said.code == 0, said.err
        return said.data


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with (
        Receiver(picky) as crm,
        Gateway(folder / "gateway", FLEET.replace("URL", crm.url)) as gateway,
    ):
        for number in range(EVENTS):
            body = {"event": "message_created", "id": number, "conversation": {"id": number % 9}}
            assert gateway.post(f"/webhook/{TOKEN}", json.dumps(body)).status == 200
        gateway.post("/webhook/unknown", "{}")
        wait_for("dead", lambda: len(gateway.command("dead")) == DEAD)
        wait_for("none", lambda: not gateway.command("deliveries", "--state", "pending"))
        wait_for("refused", lambda: gateway.command("rejected"))
        wait_for("an alert", lambda: gateway.command("alerts"))
        yield Elsewhere(gateway, folder / "person")


@pytest.mark.parametrize(
    "command",
    [
        ("instance", "list"),
        ("instance", "show", "loja-sp"),
        ("source", "list"),
        ("source", "show", "loja-sp/assinada"),
        ("destination", "list"),
        ("destination", "show", "crm"),
        ("route", "list"),
        ("route", "show", "tudo"),
        ("events",),
        ("events", "--limit", "1000"),
        ("events", "--instance", "loja-sp", "--conversation", "3", "--since", "1h"),
        ("deliveries", "--limit", "201"),
        ("deliveries", "--state", "dead", "--destination", "crm"),
        ("route", "test", "--event", "evt_FIRST"),
        ("route", "test", "tudo", "--event", "evt_FIRST"),
        ("dead", "--instance", "loja-rio"),
        ("dead", "--failed-with", "HTTP 4"),
        ("dead", "--failed-with", "nothing of the kind"),
        ("deliveries", "--type", "message_created", "--route", "tudo", "--limit", "201"),
        ("deliveries", "--type", "message_updated"),
        ("deliveries", "--until", "1h"),
        ("rejected",),
        ("alerts",),
        ("alerts", "--all"),
        ("export",),
    ],
    ids=" ".join,
)
def test_a_question_is_answered_alike_from_elsewhere(
    elsewhere: Elsewhere, command: tuple[str, ...]
) -> None:
    if "evt_FIRST" in command:
        first = elsewhere.gateway.command("events", "--limit", "1")[0]["id"]
        command = (*command[:-1], first)
    assert elsewhere.data(*command) == elsewhere.gateway.command(*command)


def test_an_event_is_shown_alike_with_its_body_byte_for_byte(elsewhere: Elsewhere) -> None:
    event = elsewhere.data("events", "--limit", "1")[0]["id"]
    shown = elsewhere.data("event", "show", event)
    assert shown == elsewhere.gateway.command("event", "show", event)
    assert shown["timeline"][0]["tries"]
    assert elsewhere("event", "show", event, "--body").out == shown["body"]


def test_an_event_is_tried_alike_from_elsewhere(elsewhere: Elsewhere) -> None:
    file = elsewhere.folder / "body.json"
    file.write_bytes(b'{"event":"message_created","content":"\xff ol\xc3\xa1"}')
    stored = elsewhere.data("events", "--limit", "1")[0]["id"]
    own = {"webhook-id", "webhook-timestamp", "comporta-event-id"}
    for event in (stored, str(file)):
        there = elsewhere.data("destination", "test", "crm", "--event", event)
        here = elsewhere.gateway.command("destination", "test", "crm", "--event", event)
        for one in (here, there):
            one["headers"] = {k: v for k, v in one["headers"].items() if k not in own}
        assert there == here
        assert there["headers"]["webhook-signature"] == "***"
    named = ("route", "test", "--event", str(file), "--instance", "loja-rio")
    assert elsewhere.data(*named) == elsewhere.gateway.command(*named)
    bare = elsewhere("route", "test", "--event", str(file))
    assert (bare.code, "--instance" in bare.err) == (2, True)
    assert elsewhere("destination", "test", "none", "--event", stored).code == 3


def test_the_fleet_is_changed_from_elsewhere(elsewhere: Elsewhere) -> None:
    before = elsewhere.gateway.command("export")
    assert elsewhere.data("instance", "add", "remota")["applied"]
    made = elsewhere.data("source", "add", "remota/conta", "--secret", "env:S", S=SECRETS[0])
    assert made["tokens"][0]["webhook_url"].startswith("http://localhost:8001/webhook/cmp_")
    rotated = elsewhere.data("source", "token", "add", "remota/conta")["tokens"][0]["token"]
    removed = elsewhere.data("source", "token", "remove", "remota/conta", rotated, "--yes")
    assert removed["applied"]
    again = elsewhere.data(
        *("source", "secret", "remove", "remota/conta", "env:S", "--yes"), S=SECRETS[0]
    )
    assert again["applied"]
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    added = elsewhere.data("destination", "add", "b", "http://b.test/", "--secret", secret)
    assert added["applied"]
    assert elsewhere.data("route", "add", "r", "--to", "b", "--where", "inbox_id=7")["applied"]
    assert elsewhere.data("destination", "set", "b", "--rate", "50/s", "--secret", "none")[
        "applied"
    ]
    kept = elsewhere.gateway.command("destination", "show", "b")
    assert (kept["rate"], kept["signed"]) == ("50/s", False)
    header = elsewhere.data("destination", "set", "b", "--header", "X-Key=env:S", S="hush")
    assert header["applied"]
    assert elsewhere.data("destination", "show", "b") == elsewhere.gateway.command(
        *("destination", "show", "b")
    )
    local = elsewhere.gateway.command("route", "show", "r")
    assert local["where"] == {"inbox_id": [7]}
    for command in (("route", "r"), ("destination", "b"), ("instance", "remota")):
        assert elsewhere.data(command[0], "remove", command[1], "--yes")["applied"]
    assert elsewhere.gateway.command("export") == before


def test_a_fleet_file_is_applied_with_references_read_where_the_person_is(
    elsewhere: Elsewhere,
) -> None:
    before = elsewhere.gateway.command("export")["fleet_toml"]
    file = elsewhere.folder / "fleet.toml"
    file.write_text(
        f'{before}\n[[instance]]\nname = "do-arquivo"\n[[instance.source]]\nname = "conta"\n'
        'kind = "account"\ntoken = "env:T"\n'
    )
    token = "a-token-from-the-environment"
    planned = elsewhere.data("apply", str(file), "--dry-run", T=token)
    assert not planned["applied"]
    assert elsewhere.data("apply", str(file), "--yes", T=token)["applied"]
    wait_for("it works", lambda: elsewhere.gateway.post(f"/webhook/{token}", "{}").status == 200)
    file.write_text(before)
    assert elsewhere.data("apply", str(file), "--yes")["applied"]
    assert elsewhere("apply", str(file), "--yes").code == 0


def test_a_mistake_in_a_fleet_file_is_named_with_its_line(elsewhere: Elsewhere) -> None:
    file = elsewhere.folder / "wrong.toml"
    file.write_text('[[destination]]\nname = "x"\n\nurl = "ftp://x.test"\n')
    said = elsewhere("apply", str(file), "--yes")
    assert said.code == 6
    assert f"{file}:4: " in said.err


def test_dead_letters_are_put_back_and_sent_again_from_elsewhere(elsewhere: Elsewhere) -> None:
    assert elsewhere.data("destination", "pause", "crm")["applied"]
    dead = elsewhere.gateway.command("dead", "--limit", "2")
    ids = [one["id"] for one in dead]
    redriven = {"matched": 2, "redriven": 2, "without_body": 0}
    assert elsewhere.data("redrive", *ids, "--yes") == redriven
    done = elsewhere.data("redrive", "--all", "--yes")
    # Dispatch may have tried the first two once more before it knew of the pause.
    assert DEAD - 2 <= done["matched"] == done["redriven"]
    event = elsewhere.data("events", "--limit", "1")[0]["id"]
    replayed = elsewhere.data("replay", "--event", event, "--to", "crm", "--yes")
    assert replayed == {"matched": 1, "replayed": 1, "without_body": 0}
    paced = elsewhere.data("replay", "--event", event, "--speed", "1/h", "--yes")
    assert paced["replayed"] == 1
    gone = elsewhere.data("discard", "--event", event, "--reason", "a trial", "--yes")
    assert gone["discarded"] >= 1
    audit = elsewhere.gateway.command("audit", "--limit", "5")
    kinds = [one["what"] for one in audit]
    assert kinds[:4] == ["discard", "replay", "replay", "redrive"]
    assert audit[0]["who"].startswith("api:")
    assert audit[0]["count"] == gone["discarded"]
    assert audit[0]["which"] == {"event": event, "because": "a trial"}
    assert audit[1]["which"]["speed"] == "1/h"
    assert elsewhere.data("destination", "resume", "crm")["applied"]


def test_an_alert_is_acknowledged_from_elsewhere_by_the_name_of_the_key(
    elsewhere: Elsewhere,
) -> None:
    assert elsewhere.data("alert", "ack", "dead")["acknowledged_by"] == "api:elsewhere"
    (shown,) = [one for one in elsewhere.gateway.command("alerts") if one["name"] == "dead"]
    assert shown["by"] == "api:elsewhere"
    assert elsewhere("alert", "ack", "breaker:nobody").code == 3


def test_keys_are_made_and_revoked_from_elsewhere(elsewhere: Elsewhere) -> None:
    made = elsewhere.data("api-key", "create", "ci", "--scope", "operate")
    assert made["key"].startswith("cmp_")
    listed = elsewhere.data("api-key", "list")
    assert listed == elsewhere.gateway.command("api-key", "list")
    assert next(one for one in listed if one["name"] == "ci")["created_by"] == "api:elsewhere"
    assert elsewhere.data("api-key", "revoke", "ci", "--yes")["revoked"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("instance", "show", "loja-spp"), 3),
        (("event", "show", "evt_0000000000001"), 3),
        (("instance", "add", "Bad Name"), 6),
        (("destination", "remove", "crm", "--yes"), 6),
        (("export", "--reveal"), 1),
        (("doctor",), 2),
        (("serve",), 2),
    ],
    ids=str,
)
def test_what_goes_wrong_is_a_sentence_and_the_exit_code_of_old(
    elsewhere: Elsewhere, command: tuple[str, ...], code: int
) -> None:
    said = elsewhere(*command)
    assert said.code == code
    assert said.err.startswith("Error: ")
    assert "Traceback" not in said.err


def test_without_a_gateway_or_a_valid_key_it_says_so(elsewhere: Elsewhere) -> None:
    for more, settings, words in (
        (["--api", "http://127.0.0.1:9"], {"COMPORTA_API_KEY": "cmp_x"}, "does not answer"),
        (["--api", elsewhere.gateway.url], {"COMPORTA_API_KEY": "cmp_x"}, "not known"),
        ([], {"COMPORTA_API": elsewhere.gateway.url}, "--api-key-file"),
    ):
        environment = elsewhere.environment | settings
        said = run_command("instance", "list", *more, env=environment, cwd=elsewhere.folder)
        assert said.code in {1, 6}
        assert words in said.err


def test_the_key_is_never_shown(elsewhere: Elsewhere) -> None:
    key = elsewhere.key_file.read_text().strip()
    said = elsewhere("events", "--json")
    assert key not in said.out + said.err + elsewhere.gateway.log
