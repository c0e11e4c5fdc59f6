"""The fleet's service, on a ledger that holds nothing but a fleet."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest
from msgspec.structs import replace

from comporta.domain.fleet import Fleet, SourceKind
from comporta.errors import ConfigError, ConflictError, FleetError, NotFoundError
from comporta.fleet.parse import parse
from comporta.fleet.service import FleetService
from comporta.ledger.port import Ledger
from comporta.vault import Vault, digest_token

VAULT = Vault(bytes(32))
TOKEN = "abcdefghijklmnop"
SIGNING = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
T = TypeVar("T")


class OnlyAFleet:
    """The three methods that the service uses, with the port's own rule about versions."""

    def __init__(self) -> None:
        self.current = Fleet()
        self.record: list[tuple[str, str]] = []
        self.rivals = 0
        """So many times somebody else is quicker, between reading and replacing."""

    async def fleet_version(self) -> int:
        return self.current.version

    async def fleet(self) -> Fleet:
        return self.current

    async def replace_fleet(self, fleet: Fleet, who: str, summary: str) -> None:
        if self.rivals:
            self.rivals -= 1
            self.current = replace(self.current, version=self.current.version + 1)
        if fleet.version != self.current.version + 1:
            raise ConflictError("meanwhile")
        self.current = fleet
        self.record.append((who, summary))


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.fixture
def ledger() -> OnlyAFleet:
    return OnlyAFleet()


@pytest.fixture
def service(ledger: OnlyAFleet) -> FleetService:
    return FleetService(cast("Ledger", ledger), VAULT)


@pytest.fixture
def full(service: FleetService) -> FleetService:
    """One instance with one source, one destination, one route."""
    run(service.add_instance("loja", "https://chat.loja.example", "ana"))
    run(service.add_source("loja", "conta", SourceKind.ACCOUNT, "ana", token=TOKEN))
    run(service.add_destination("crm", "http://crm/hook", "ana", secret=SIGNING))
    run(service.add_route("tudo", ["crm"], "ana", instances=["loja"], where={"private": (False,)}))
    return service


def test_a_fleet_can_be_built_by_single_commands_and_is_recorded(
    full: FleetService, ledger: OnlyAFleet
) -> None:
    fleet = run(full.read())
    assert fleet.version == 4
    [instance] = fleet.instances
    assert instance.sources[0].tokens[0].digest == digest_token(TOKEN)
    assert VAULT.open(fleet.destinations[0].secret.sealed) == SIGNING  # type: ignore[union-attr]
    assert fleet.routes[0].where == {"private": (False,)}
    assert ledger.record == [
        ("ana", "+instance loja"),
        ("ana", "+source loja/conta"),
        ("ana", "+destination crm"),
        ("ana", "+route tudo"),
    ]


def test_a_plan_changes_nothing_and_an_apply_does_what_it_said(
    service: FleetService, ledger: OnlyAFleet
) -> None:
    declared = parse('[[instance]]\nname = "loja"\n', "fleet.toml", VAULT)
    planned = run(service.plan(declared))
    assert ledger.current == Fleet()
    applied = run(service.apply(declared, "ana"))
    assert applied.changes == planned.changes
    assert ledger.current == applied.fleet
    assert run(service.apply(declared, "rui")).changes == ()
    assert ledger.record == [("ana", "+instance loja")]


def test_an_export_applied_again_changes_nothing(full: FleetService) -> None:
    for reveal in (False, True):
        text = run(full.export(reveal=reveal))
        assert (SIGNING in text) is reveal
        assert TOKEN not in text
        assert run(full.plan(parse(text, "export.toml", VAULT))).changes == ()


def test_a_change_is_made_again_when_somebody_else_was_quicker(
    service: FleetService, ledger: OnlyAFleet
) -> None:
    ledger.rivals = 3
    run(service.add_instance("loja", "", "ana"))
    assert [one.name for one in ledger.current.instances] == ["loja"]
    assert ledger.current.version == 4


def test_a_change_gives_up_when_others_never_stop(
    service: FleetService, ledger: OnlyAFleet
) -> None:
    ledger.rivals = 1000
    with pytest.raises(ConflictError, match="Try again"):
        run(service.add_instance("loja", "", "ana"))
    assert ledger.rivals > 900


def test_a_new_source_shows_its_token_once(full: FleetService) -> None:
    done = run(full.add_source("loja", "bot", SourceKind.AGENT_BOT, "ana", secrets=["s3cret"]))
    [shown] = done.shown
    fleet = run(full.read())
    source = fleet.instances[0].sources[1]
    assert source.tokens[0].digest == digest_token(shown.token)
    assert VAULT.open(source.secrets[0].sealed) == "s3cret"


def test_a_token_is_rotated_without_a_gap(full: FleetService) -> None:
    done = run(full.add_token("loja", "conta", "ana"))
    [shown] = done.shown
    digests = [token.digest for token in run(full.read()).instances[0].sources[0].tokens]
    assert digests == [digest_token(TOKEN), digest_token(shown.token)]
    run(full.remove_token("loja", "conta", TOKEN, "ana"))
    digests = [token.digest for token in run(full.read()).instances[0].sources[0].tokens]
    assert digests == [digest_token(shown.token)]


def test_a_given_token_is_added_and_not_shown(full: FleetService) -> None:
    assert run(full.add_token("loja", "conta", "ana", token="x" * 40)).shown == ()
    with pytest.raises(FleetError, match="given to loja/conta already"):
        run(full.add_token("loja", "conta", "ana", token="x" * 40))
    with pytest.raises(ConfigError, match="16 to 512"):
        run(full.add_token("loja", "conta", "ana", token="short"))


@pytest.mark.parametrize(
    "named", [TOKEN, digest_token(TOKEN), digest_token(TOKEN)[:6], f"sha256:{digest_token(TOKEN)}"]
)
def test_a_token_is_removed_by_itself_or_the_beginning_of_its_digest(
    full: FleetService, named: str
) -> None:
    run(full.add_token("loja", "conta", "ana", token="x" * 40))
    run(full.remove_token("loja", "conta", named, "ana"))
    [token] = run(full.read()).instances[0].sources[0].tokens
    assert token.digest == digest_token("x" * 40)


def test_a_token_is_removed_by_its_hint_only_if_that_names_one(full: FleetService) -> None:
    run(full.add_token("loja", "conta", "ana", token="x" * 40))
    run(full.add_token("loja", "conta", "ana", token="x" * 41))
    for named in ("x" * 8, "x", "", "sha256:", digest_token(TOKEN)[:5], "nothing-like-it"):
        with pytest.raises(NotFoundError, match="does not name one token"):
            run(full.remove_token("loja", "conta", named, "ana"))
    run(full.remove_token("loja", "conta", "x" * 41, "ana"))
    run(full.remove_token("loja", "conta", "x" * 8, "ana"))


def test_the_last_token_of_a_source_is_not_removed(full: FleetService) -> None:
    with pytest.raises(FleetError, match="only token"):
        run(full.remove_token("loja", "conta", TOKEN, "ana"))


def test_a_destination_is_paused_with_a_reason_and_resumed(
    full: FleetService, ledger: OnlyAFleet
) -> None:
    run(full.pause_destination("crm", "answered 410 Gone", "dispatch"))
    assert ledger.current.destinations[0].paused == "answered 410 Gone"
    assert run(full.pause_destination("crm", "answered 410 Gone", "dispatch")).changes == ()
    assert ledger.current.version == 5
    run(full.resume_destination("crm", "ana"))
    assert ledger.current.destinations[0].paused == ""
    assert run(full.resume_destination("crm", "ana")).changes == ()
    run(full.pause_destination("crm", "", "ana"))
    assert ledger.current.destinations[0].paused


def test_a_paused_destination_stays_so_through_other_commands(full: FleetService) -> None:
    run(full.pause_destination("crm", "answered 410 Gone", "dispatch"))
    run(full.add_instance("outra", "", "ana"))
    assert run(full.read()).destinations[0].paused == "answered 410 Gone"


def test_what_a_route_names_is_not_removed_and_the_routes_are_named(full: FleetService) -> None:
    run(full.add_route("tambem", ["crm"], "ana"))
    with pytest.raises(FleetError, match="crm is used by: tudo, tambem"):
        run(full.remove_destination("crm", "ana"))
    with pytest.raises(FleetError, match=r"loja is used by: tudo\."):
        run(full.remove_instance("loja", "ana"))
    run(full.remove_route("tudo", "ana"))
    run(full.remove_route("tambem", "ana"))
    run(full.remove_destination("crm", "ana"))
    run(full.remove_source("loja", "conta", "ana"))
    run(full.remove_instance("loja", "ana"))
    fleet = run(full.read())
    assert [*fleet.instances, *fleet.destinations, *fleet.routes] == []


def test_a_name_that_does_not_exist_is_answered_with_the_nearest(full: FleetService) -> None:
    wrong: list[tuple[Coroutine[Any, Any, Any], str]] = [
        (full.remove_instance("lojas", "ana"), 'no instance "lojas". Did you mean "loja"'),
        (full.remove_source("loja", "conte", "ana"), 'Did you mean "conta"'),
        (full.remove_source("loj", "conta", "ana"), 'Did you mean "loja"'),
        (full.add_source("loj", "x", SourceKind.ACCOUNT, "ana"), 'Did you mean "loja"'),
        (full.add_token("loja", "cont", "ana"), 'Did you mean "conta"'),
        (full.remove_destination("crn", "ana"), 'Did you mean "crm"'),
        (full.pause_destination("crn", "x", "ana"), 'Did you mean "crm"'),
        (full.resume_destination("zzz", "ana"), 'no destination "zzz"'),
        (full.remove_route("todo", "ana"), 'Did you mean "tudo"'),
    ]
    for work, said in wrong:
        with pytest.raises(NotFoundError) as caught:
            run(work)
        assert said in str(caught.value)


def test_single_commands_obey_the_rules_of_files(full: FleetService, ledger: OnlyAFleet) -> None:
    before = ledger.current
    wrong: list[tuple[Coroutine[Any, Any, Any], str]] = [
        (full.add_instance("loja", "", "ana"), "taken already"),
        (full.add_instance("Loja B", "", "ana"), 'Did you mean "loja-b"'),
        (full.add_instance("outra", "chat", "ana"), "http://"),
        (full.add_source("loja", "conta", SourceKind.ACCOUNT, "ana"), "taken already"),
        (full.add_source("loja", "x", SourceKind.ACCOUNT, "ana", token=TOKEN), "already"),
        (full.add_source("loja", "x", SourceKind.ACCOUNT, "ana", secrets=[""]), "1 to 512"),
        (full.add_destination("n8n", "n8n", "ana"), "http://"),
        (full.add_destination("n8n", "http://n8n", "ana", secret="x"), "whsec_"),
        (full.add_destination("n8n", "http://n8n", "ana", timeout_s=0), "timeout_s"),
        (full.add_destination("n8n", "http://n8n", "ana", retry=(-1.0,)), "A wait is"),
        (full.add_route("nova", ["crn"], "ana"), 'Did you mean "crm"'),
        (full.add_route("nova", [], "ana"), "empty"),
        (full.add_route("nova", ["crm"], "ana", instances=["loj"]), 'Did you mean "loja"'),
        (full.add_route("nova", ["crm"], "ana", where={"privat": (True,)}), "private"),
    ]
    for work, said in wrong:
        with pytest.raises(ConfigError) as caught:
            run(work)
        assert said in str(caught.value)
    assert ledger.current is before


def test_a_likely_slip_in_a_command_is_told_too(full: FleetService) -> None:
    done = run(full.add_route("nova", ["crm"], "ana", events=["mesage_created"]))
    [warning] = done.warnings
    assert warning.startswith("Chatwoot sends no")


def test_commands_at_the_same_time_all_take_effect(
    service: FleetService, ledger: OnlyAFleet
) -> None:
    async def all_at_once() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(service.add_instance(f"loja-{number}", "", "ana"))

    run(all_at_once())
    assert sorted(one.name for one in ledger.current.instances) == [
        f"loja-{number}" for number in range(5)
    ]
