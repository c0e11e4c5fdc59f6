"""Plans: what counts as a change, what is kept, and what is shown of it."""

import pytest
from msgspec.structs import replace

from comporta.domain.fleet import Fleet, SourceKind
from comporta.errors import ConfigError
from comporta.fleet.parse import parse
from comporta.fleet.plan import Change, Plan, declare, plan
from comporta.fleet.render import render
from comporta.vault import Vault, digest_token

VAULT = Vault(bytes(32))
TEXT = """\
[[instance]]
name = "loja"
url = "https://chat.loja.example"
[[instance.source]]
name = "conta"
kind = "account"
secrets = ["s3cret"]
[[destination]]
name = "crm"
url = "http://crm/hook"
secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
[[route]]
name = "tudo"
to = ["crm"]
"""


def planned(current: Fleet, text: str) -> Plan:
    return plan(current, parse(text, "fleet.toml", VAULT), VAULT)


def first() -> Plan:
    return planned(Fleet(version=6), TEXT)


def only_change(current: Fleet, text: str) -> Change:
    done = planned(current, text)
    assert done.fleet.version == current.version + 1
    [change] = done.changes
    return change


def test_everything_new_is_added_and_the_version_rises_by_one() -> None:
    done = first()
    assert done.fleet.version == 7
    assert [(one.kind, one.what, one.name) for one in done.changes] == [
        ("add", "instance", "loja"),
        ("add", "source", "loja/conta"),
        ("add", "destination", "crm"),
        ("add", "route", "tudo"),
    ]
    assert done.summary() == "+instance loja, +source loja/conta, +destination crm, +route tudo"
    assert [thing.id[:4] for thing in (done.fleet.instances[0], done.fleet.routes[0])] == [
        "ins_",
        "rte_",
    ]


def test_a_source_without_token_gets_one_that_is_shown_once_and_then_kept() -> None:
    done = first()
    [shown] = done.shown
    assert (shown.instance, shown.source) == ("loja", "conta")
    [token] = done.fleet.instances[0].sources[0].tokens
    assert token.digest == digest_token(shown.token)
    assert shown.token not in repr(done)
    again = planned(done.fleet, TEXT)
    assert again.shown == ()
    assert again.changes == ()


def test_the_same_file_again_is_the_same_fleet_and_no_new_version() -> None:
    fleet = first().fleet
    assert planned(fleet, TEXT).fleet is fleet


def test_another_order_alone_is_no_change() -> None:
    text = TEXT.replace('"s3cret"', '"s3cret", "other"')
    fleet = planned(Fleet(), text).fleet
    assert planned(fleet, text.replace('"s3cret", "other"', '"other", "s3cret"')).changes == ()


def test_a_secret_that_did_not_change_is_not_sealed_again() -> None:
    fleet = first().fleet
    changed = planned(fleet, TEXT.replace("http://crm/hook", "http://crm/other")).fleet
    assert changed.destinations[0].secret == fleet.destinations[0].secret
    assert changed.instances[0].sources[0].secrets == fleet.instances[0].sources[0].secrets


def test_a_changed_secret_is_counted_and_never_shown() -> None:
    fleet = first().fleet
    change = only_change(fleet, TEXT.replace("s3cret", "other-s3cret"))
    assert change == Change("change", "source", "loja/conta", "secrets: 1 added, 1 removed")
    change = only_change(fleet, TEXT.replace("whsec_AAAA", "whsec_AAAB"))
    assert change == Change("change", "destination", "crm", "secret: 1 added, 1 removed")


def test_a_secret_moved_to_the_environment_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOJA_SECRET", "s3cret")
    fleet = first().fleet
    moved = TEXT.replace('"s3cret"', '"env:LOJA_SECRET"')
    assert only_change(fleet, moved).name == "loja/conta"
    done = planned(fleet, moved)
    [secret] = done.fleet.instances[0].sources[0].secrets
    assert secret.ref == "env:LOJA_SECRET"
    assert VAULT.open(secret.sealed) == "s3cret"


def test_declared_tokens_replace_those_there_were() -> None:
    fleet = first().fleet
    text = TEXT.replace(
        '"account"\n', '"account"\ntokens = ["abcdefghijklmnop", "' + "x" * 40 + '"]\n'
    )
    change = only_change(fleet, text)
    assert change.detail == "tokens: 2 added, 1 removed"
    tokens = planned(fleet, text).fleet.instances[0].sources[0].tokens
    assert [token.hint for token in tokens] == ["", "x" * 8]


def test_a_token_known_by_digest_keeps_its_hint() -> None:
    fleet = first().fleet
    [token] = fleet.instances[0].sources[0].tokens
    assert token.hint.startswith("cmp_")
    exported = render(declare(fleet), VAULT)
    assert f'token = "sha256:{token.digest}"' in exported
    assert planned(fleet, exported).fleet is fleet


def test_what_keeps_its_name_keeps_its_id_whatever_else_changes() -> None:
    fleet = first().fleet
    text = TEXT.replace('"account"', '"agent_bot"').replace("chat.loja", "novo.loja")
    done = planned(fleet, text)
    assert [one.detail for one in done.changes] == [
        "url: https://chat.loja.example → https://novo.loja.example",
        "kind: account → agent_bot",
    ]
    assert done.fleet.instances[0].id == fleet.instances[0].id
    assert done.fleet.instances[0].sources[0].id == fleet.instances[0].sources[0].id
    assert done.fleet.instances[0].sources[0].kind is SourceKind.AGENT_BOT


def test_what_is_no_longer_declared_is_removed() -> None:
    fleet = first().fleet
    done = planned(fleet, TEXT[: TEXT.index("[[instance.source]]")])
    assert [(one.kind, one.what, one.name) for one in done.changes] == [
        ("remove", "source", "loja/conta"),
        ("remove", "destination", "crm"),
        ("remove", "route", "tudo"),
    ]
    assert not done.fleet.routes
    assert not done.fleet.destinations


def test_a_paused_destination_stays_so_until_its_url_changes() -> None:
    fleet = first().fleet
    off = replace(fleet, destinations=(replace(fleet.destinations[0], paused="answered 410 Gone"),))
    slower = planned(off, TEXT.replace('url = "http://crm', 'timeout_s = 20\nurl = "http://crm'))
    assert slower.fleet.destinations[0].paused == "answered 410 Gone"
    assert slower.changes[0].detail == "timeout_s: 10 → 20"
    moved = planned(off, TEXT.replace("http://crm/hook", "http://crm/new"))
    assert moved.fleet.destinations[0].paused == ""
    assert moved.changes[0].detail == "url: http://crm/hook → http://crm/new; resumed"


def test_a_change_in_what_is_not_shown_of_a_url_is_a_change_all_the_same() -> None:
    fleet = planned(Fleet(), TEXT.replace("http://crm/hook", "http://u:one@crm/hook")).fleet
    change = only_change(fleet, TEXT.replace("http://crm/hook", "http://u:two@crm/hook"))
    assert change.detail == "url: changed in its hidden part"


def test_every_part_of_a_route_is_told_when_it_changes() -> None:
    fleet = first().fleet
    change = only_change(
        fleet, TEXT + 'events = ["message_*"]\ninstances = ["loja"]\nwhere = { private = false }\n'
    )
    assert change.detail == (
        'instances: * → loja; events: * → message_*; where: – → {"private": [false]}'
    )


def test_secrets_sealed_under_another_key_cannot_be_compared_and_say_so() -> None:
    fleet = first().fleet
    with pytest.raises(ConfigError, match="sealed under another key"):
        plan(fleet, parse(TEXT, "fleet.toml", VAULT), Vault(b"x" * 32))


def test_a_stored_fleet_declares_itself_without_opening_a_secret() -> None:
    fleet = first().fleet
    assert plan(fleet, declare(fleet), Vault(b"x" * 32)).fleet is fleet
