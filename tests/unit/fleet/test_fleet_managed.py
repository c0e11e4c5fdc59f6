"""What a program keeps in the fleet: it comes and goes with the program, and people go round it."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from comporta import Gateway
from comporta.domain.fleet import Fleet
from comporta.enrolment import GONE, enrol_handlers
from comporta.errors import FleetError, NotFoundError
from comporta.fleet.managed import Pair, enrol
from comporta.fleet.parse import parse
from comporta.fleet.plan import plan
from comporta.fleet.service import FleetService
from comporta.handlers.registry import MANAGER, Handler
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.vault import Vault

VAULT = Vault(bytes(32))
TEXT = """\
[[instance]]
name = "loja"
[[destination]]
name = "crm"
url = "http://crm/hook"
[[route]]
name = "tudo"
to = ["crm"]
"""
T = TypeVar("T")


async def function(event: bytes) -> None: ...


def handlers(*names: str, instance: str = "loja", timeout_s: float = 10) -> tuple[Handler, ...]:
    gateway = Gateway()
    for name in names:
        gateway.on("message_created", name=name, instance=instance, timeout_s=timeout_s)(function)
    return gateway.handlers


def pairs(*names: str, timeout_s: float = 10) -> list[Pair]:
    return [(one.destination(""), one.route("")) for one in handlers(*names, timeout_s=timeout_s)]


def applied(text: str, fleet: Fleet | None = None) -> Fleet:
    return plan(fleet or Fleet(), parse(text, "fleet.toml", VAULT), VAULT).fleet


def enrolled(fleet: Fleet, *names: str, timeout_s: float = 10) -> Fleet:
    return enrol(fleet, pairs(*names, timeout_s=timeout_s), MANAGER, GONE).fleet


def test_a_handler_comes_with_a_destination_and_a_route() -> None:
    done = enrol(applied(TEXT), pairs("answer"), MANAGER, GONE)
    assert done.summary() == "+destination answer, +route answer"
    assert [one.name for one in done.fleet.destinations] == ["crm", "answer"]
    assert done.fleet.destinations[1].id.startswith("dst_")
    assert done.fleet.routes[1].id.startswith("rte_")
    assert done.fleet.version == 2


def test_the_same_handlers_again_change_nothing() -> None:
    fleet = enrolled(applied(TEXT), "answer", "labels")
    again = enrol(fleet, pairs("answer", "labels"), MANAGER, GONE)
    assert again.changes == ()
    assert again.fleet is fleet


def test_a_changed_handler_keeps_its_ids() -> None:
    old = enrolled(applied(TEXT), "answer")
    done = enrol(old, pairs("answer", timeout_s=3), MANAGER, GONE)
    assert [(one.kind, one.detail) for one in done.changes] == [("change", "timeout_s: 10 → 3")]
    assert done.fleet.destinations[1].id == old.destinations[1].id
    assert done.fleet.routes[1].id == old.routes[1].id


def test_a_handler_that_is_gone_leaves_a_paused_destination_until_it_comes_back() -> None:
    with_it = enrolled(applied(TEXT), "answer")
    without = enrolled(with_it)
    assert [one.name for one in without.routes] == ["tudo"]
    assert [one.paused for one in without.destinations] == ["", GONE]
    again = enrolled(without, "answer")
    assert again.destinations == with_it.destinations
    assert [one.name for one in again.routes] == ["tudo", "answer"]


def test_who_paused_a_handler_finds_it_paused_after_a_restart() -> None:
    async def main(service: FleetService) -> None:
        await enrol_handlers(service, handlers("answer"))
        await service.pause_destination("answer", "holidays", "ana")
        await enrol_handlers(service, ())
        await enrol_handlers(service, handlers("answer"))
        assert (await service.read()).destinations[0].paused == "holidays"

    serviced(main)


def test_a_fleet_file_leaves_handlers_alone() -> None:
    fleet = enrolled(applied(TEXT), "answer")
    unchanged = plan(fleet, parse(TEXT, "fleet.toml", VAULT), VAULT)
    assert unchanged.changes == ()
    assert unchanged.fleet is fleet
    emptied = applied("", fleet)
    assert emptied.destinations == fleet.destinations[1:]
    assert emptied.routes == fleet.routes[1:]


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace('"crm"', '"answer"'),
        TEXT.replace('"tudo"', '"answer"'),
    ],
    ids=["destination", "route"],
)
def test_a_name_belongs_to_a_person_or_to_a_handler(text: str) -> None:
    with pytest.raises(FleetError, match="answer"):
        applied(text, enrolled(Fleet(), "answer"))
    with pytest.raises(FleetError, match=r"answer.*another name"):
        enrolled(applied(text), "answer")


def test_a_fleet_file_may_lead_to_a_handler_by_a_destination_of_its_own() -> None:
    fleet = applied(TEXT.replace("http://crm/hook", "handler:answer"))
    assert fleet.destinations[0].url == "handler:answer"


@pytest.mark.parametrize("url", ["handler:", "handler:Answer", "handler://answer", "handler:a b"])
def test_what_cannot_be_the_name_of_a_handler_is_refused(url: str) -> None:
    with pytest.raises(FleetError, match="name of a handler"):
        applied(TEXT.replace("http://crm/hook", url))


@given(st.lists(st.sets(st.sampled_from("abcde")), max_size=6))
def test_whatever_comes_and_goes_exactly_the_present_handlers_have_routes(
    rounds: list[set[str]],
) -> None:
    fleet = applied(TEXT)
    ids: dict[str, str] = {}
    for names in rounds:
        fleet = enrolled(fleet, *sorted(names))
        managed = [one for one in fleet.destinations if one.managed]
        assert {one.name for one in fleet.routes if one.managed} == names
        assert {one.name for one in managed if not one.paused} == names
        for one in managed:
            assert ids.setdefault(one.name, one.id) == one.id
    assert applied(TEXT, fleet) == fleet


# By the service


def serviced(main: Callable[[FleetService], Awaitable[T]]) -> T:
    async def whole(folder: str) -> T:
        ledger = SqliteLedger(Path(folder) / "ledger.db")
        await ledger.open()
        try:
            return await main(FleetService(ledger, VAULT))
        finally:
            await ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(whole(folder))


def test_a_handlers_destination_is_removed_once_nothing_leads_there() -> None:
    async def main(service: FleetService) -> None:
        await enrol_handlers(service, handlers("answer"))
        with pytest.raises(FleetError, match="belongs to a handler"):
            await service.remove_destination("answer", "ana")
        with pytest.raises(FleetError, match="belongs to a handler"):
            await service.remove_route("answer", "ana")
        await enrol_handlers(service, ())
        done = await service.remove_destination("answer", "ana")
        assert done.summary() == "-destination answer"
        assert (await service.read()).destinations == ()
        with pytest.raises(NotFoundError):
            await service.remove_destination("answer", "ana")

    serviced(main)


def test_single_commands_leave_handlers_alone() -> None:
    async def main(service: FleetService) -> None:
        await enrol_handlers(service, handlers("answer"))
        before = await service.read()
        await service.add_destination("n8n", "http://n8n", "ana")
        await service.remove_destination("n8n", "ana")
        after = await service.read()
        assert (after.destinations, after.routes) == (before.destinations, before.routes)
        assert "answer" not in await service.export()

    serviced(main)


def test_an_instance_that_is_not_there_yet_is_said_and_is_no_reason_to_refuse() -> None:
    async def main(service: FleetService) -> None:
        await service.add_instance("loja", "", "ana")
        with capture_logs() as lines:
            await enrol_handlers(service, handlers("a") + handlers("b", instance="rio"))
            await enrol_handlers(service, handlers("c", instance="*"))
        unknown = [one for one in lines if one["event"] == "handler.instance_unknown"]
        assert [(one["handler"], one["name"]) for one in unknown] == [("b", "rio")]

    serviced(main)
