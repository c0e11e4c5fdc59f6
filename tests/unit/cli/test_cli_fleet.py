"""The fleet's commands, on the real fleet service: what they change, show once, ask and refuse."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

FILE = """
[[instance]]
name = "loja-sp"
[[instance.source]]
name = "conta"
kind = "account"

[[instance]]
name = "loja-rj"
[[instance.source]]
name = "bot"
kind = "agent_bot"

[[destination]]
name = "crm"
url = "http://127.0.0.1:9001/hook"

[[route]]
name = "tudo"
to = ["crm"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    return path


def test_a_dry_run_shows_the_changes_and_makes_none(comporta: Any, stores: Any, file: Path) -> None:
    before = stores.ledger.now_fleet
    ran = comporta("apply", str(file), "--dry-run")
    assert ran.code == 0
    assert "+ instance loja-rj" in ran.out
    assert "+ source loja-rj/bot" in ran.out
    assert "~ destination crm" in ran.out
    assert stores.ledger.now_fleet is before
    assert "/webhook/" not in ran.out


def test_apply_without_a_yes_shows_the_changes_and_is_refused(
    comporta: Any, stores: Any, file: Path
) -> None:
    before = stores.ledger.now_fleet
    ran = comporta("apply", str(file))
    assert ran.code == 4
    assert "+ instance loja-rj" in ran.out
    assert stores.ledger.now_fleet is before


def test_apply_shows_each_new_token_once_as_the_url_to_paste(
    comporta: Any, stores: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPORTA_PUBLIC_URL", "https://hooks.example/")
    ran = comporta("apply", str(file), "--yes")
    assert ran.code == 0
    (line,) = [one.strip() for one in ran.out.splitlines() if "/webhook/" in one]
    assert line.startswith("https://hooks.example/webhook/cmp_")
    digest = hashlib.sha256(line.rpartition("/")[2].encode()).hexdigest()
    assert stores.ledger.now_fleet.instances[1].sources[0].tokens[0].digest == digest
    assert "/webhook/" not in comporta("apply", str(file), "--yes").out


def test_apply_as_json_tells_changes_and_tokens(comporta: Any, file: Path) -> None:
    data = comporta("apply", str(file), "--yes", "--json").data
    assert data["applied"] is True
    assert [one["what"] for one in data["changes"] if one["kind"] == "add"] == [
        "instance",
        "source",
    ]
    (token,) = data["tokens"]
    assert token["webhook_url"].endswith(token["token"])


def test_a_wrong_file_is_refused_with_its_line(comporta: Any, tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(FILE.replace("url =", "ulr ="))
    ran = comporta("apply", str(path), "--yes")
    assert ran.code == 6
    assert f"{path}:16" in ran.err
    assert '"url"' in ran.err


def test_what_export_writes_can_be_applied_and_changes_nothing(
    comporta: Any, tmp_path: Path
) -> None:
    path = tmp_path / "out.toml"
    assert comporta("export", "-o", str(path)).code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    ran = comporta("apply", str(path))
    assert (ran.code, "Nothing to change." in ran.out) == (0, True)
    assert comporta("export").out == path.read_text()


def test_init_makes_the_first_instance_and_does_nothing_the_second_time(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.now_fleet = type(stores.ledger.now_fleet)()
    ran = comporta("init", "minha-loja")
    assert ran.code == 0
    assert "http://localhost:8001/webhook/cmp_" in ran.out
    (instance,) = stores.ledger.now_fleet.instances
    assert (instance.name, instance.sources[0].name) == ("minha-loja", "account")
    again = comporta("init", "outra")
    assert "token add" in again.out
    assert len(stores.ledger.now_fleet.instances) == 1


def test_an_instance_is_added_listed_shown_and_removed(comporta: Any) -> None:
    assert comporta("instance", "add", "loja-rj", "--url", "https://chat.rj.example").code == 0
    assert "loja-rj" in comporta("instance", "list").out
    shown = comporta("instance", "show", "loja-rj", "--json").data
    assert shown["url"] == "https://chat.rj.example"
    assert comporta("instance", "remove", "loja-rj").code == 4
    assert comporta("instance", "remove", "loja-rj", "--yes").code == 0
    assert comporta("instance", "show", "loja-rj").code == 3


def test_a_source_is_added_with_secrets_that_are_never_shown(comporta: Any) -> None:
    added = comporta("source", "add", "loja-sp/bot", "--kind", "agent_bot", "--secret", "hush-1")
    assert added.code == 0
    assert "/webhook/cmp_" in added.out
    shown = comporta("source", "show", "loja-sp/bot")
    everything = added.out + added.err + shown.out + comporta("source", "list").out
    assert "hush-1" not in everything
    assert comporta("source", "show", "loja-sp/bot", "--json").data["secrets"] == 1


def test_a_token_is_rotated_by_adding_the_new_one_and_removing_the_old_one(
    comporta: Any, stores: Any
) -> None:
    old = comporta("source", "add", "loja-sp/bot", "--json").data["tokens"][0]["token"]
    new = comporta("source", "token", "add", "loja-sp/bot", "--json").data["tokens"][0]["token"]
    assert comporta("source", "token", "remove", "loja-sp/bot", old, "--yes").code == 0
    (kept,) = stores.ledger.now_fleet.instances[0].sources[1].tokens
    assert kept.digest == hashlib.sha256(new.encode()).hexdigest()


def test_a_secret_is_rotated_and_never_shown(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATWOOT_SECRET", "hush-2")
    first = comporta("source", "secret", "add", "loja-sp/conta", "hush-1")
    second = comporta("source", "secret", "add", "loja-sp/conta", "env:CHATWOOT_SECRET")
    assert (first.code, second.code) == (0, 0)

    def live() -> list[str]:
        (source,) = stores.ledger.now_fleet.instances[0].sources
        return [stores.vault.open(secret.sealed) for secret in source.secrets]

    assert live() == ["hush-1", "hush-2"]
    removal = ("source", "secret", "remove", "loja-sp/conta")
    assert comporta(*removal, "hush-1").code == 4
    unknown = comporta(*removal, "hush-3", "--yes")
    assert comporta("source", "secret", "add", "loja-sp/conta", "hush-2").code == 6
    assert live() == ["hush-1", "hush-2"]
    gone = comporta(*removal, "hush-1", "--yes")
    assert (unknown.code, gone.code) == (3, 0)
    assert live() == ["hush-2"]
    assert comporta(*removal, "env:CHATWOOT_SECRET", "--yes").code == 0
    assert live() == []
    assert "hush" not in "".join(one.out + one.err for one in (first, second, unknown, gone))


def test_the_doctor_names_the_command_that_adds_a_missing_secret(comporta: Any) -> None:
    command = "comporta source secret add loja-sp/conta"
    assert command in comporta("doctor").out
    assert comporta(*command.split()[1:], "hush").code == 0
    assert "source secret add" not in comporta("doctor").out


def test_the_only_token_of_a_source_cannot_be_removed(comporta: Any) -> None:
    token = comporta("source", "add", "loja-sp/bot", "--json").data["tokens"][0]["token"]
    assert comporta("source", "token", "remove", "loja-sp/bot", token, "--yes").code == 6


@pytest.mark.parametrize("path", ["loja-sp", "loja-sp/", "/conta", "a/b/c"])
def test_a_source_is_named_by_instance_and_source(comporta: Any, path: str) -> None:
    assert comporta("source", "show", path).code == 2


def test_a_destination_is_added_shown_paused_resumed_and_removed(
    comporta: Any, stores: Any
) -> None:
    added = comporta(
        *("destination", "add", "n8n", "http://n8n:5678/hook?key=hush-2"),
        *("--timeout", "3", "--retry", "1,2.5"),
    )
    assert added.code == 0
    shown = comporta("destination", "show", "n8n", "--json")
    assert shown.data["retry"] == [1, 2.5]
    assert "hush-2" not in added.out + shown.out
    comporta("destination", "pause", "n8n", "--reason", "maintenance")
    assert stores.ledger.now_fleet.destinations[1].paused == "maintenance"
    assert "maintenance" in comporta("destination", "list").out
    comporta("destination", "resume", "n8n")
    assert stores.ledger.now_fleet.destinations[1].paused == ""
    assert comporta("destination", "remove", "n8n", "--yes").code == 0


def test_a_destination_in_use_stays(comporta: Any) -> None:
    ran = comporta("destination", "remove", "crm", "--yes")
    assert (ran.code, "tudo" in ran.err) == (6, True)


def test_a_route_gets_its_matchers_typed(comporta: Any) -> None:
    ran = comporta(
        *("route", "add", "vendas", "--to", "crm", "--event", "message_*", "--where"),
        *("inbox_id=12", "--where", "inbox_id=14", "--where", "private=false"),
        *("--where", "message_type=incoming"),
    )
    assert ran.code == 0
    shown = comporta("route", "show", "vendas", "--json").data
    assert shown["where"] == {
        "inbox_id": [12, 14],
        "private": [False],
        "message_type": ["incoming"],
    }
    assert comporta("route", "remove", "vendas", "--yes").code == 0


def test_a_matcher_that_is_none_is_a_usage_error(comporta: Any) -> None:
    assert comporta("route", "add", "x", "--to", "crm", "--where", "inbox_id").code == 2
    assert comporta("destination", "add", "x", "http://h/", "--retry", "soon").code == 2


def test_a_route_to_nowhere_is_refused_with_a_proposal(comporta: Any) -> None:
    ran = comporta("route", "add", "x", "--to", "crn")
    assert (ran.code, 'Did you mean "crm"?' in ran.err) == (6, True)


@pytest.mark.parametrize("group", ["instance", "source", "destination", "route"])
def test_empty_lists_say_how_to_add_one(comporta: Any, stores: Any, group: str) -> None:
    stores.ledger.now_fleet = type(stores.ledger.now_fleet)()
    ran = comporta(group, "list")
    assert (ran.out, f"comporta {group} add" in ran.err) == ("", True)
