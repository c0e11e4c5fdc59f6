"""`comporta route test` and conditions on the command line, on the real fleet service."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from comporta import i18n
from comporta.domain import ids
from comporta.domain.fleet import Fleet, Instance, Route

EVT = ids.show("evt", 12_345_678_901_234)
MESSAGE = {
    "event": "message_created",
    "message_type": "incoming",
    "content": "/ajuda",
    "sender": {"id": 1},
    "inbox": {"id": 14},
    "conversation": {"id": 12, "inbox_id": 14, "labels": ["vip"], "status": "open"},
}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "message.json"
    path.write_text(json.dumps(MESSAGE))
    return str(path)


def lead(stores: Any, **routes: Route) -> None:
    fleet: Fleet = stores.ledger.now_fleet
    made = [replace(route, name=name, id=f"rte_{name}") for name, route in routes.items()]
    stores.ledger.now_fleet = replace(fleet, routes=tuple(made))


def route(**where: Any) -> Route:
    return Route("", "", ("crm",), where={key.replace("__", "."): v for key, v in where.items()})


def test_each_route_says_whether_it_fits_and_the_first_reason_why_not(
    comporta: Any, stores: Any, file: str
) -> None:
    lead(
        stores,
        fits=route(labels__any=("vip", "ouro"), content__prefix=("/",)),
        inbox=route(status=("open",), inbox_id=(12, 13), private=(True,)),
        missing=route(private=(True,)),
        bot=route(not__labels__any=("vip",)),
        plano=route(custom_attributes__plano=("gold",)),
        elsewhere=replace(route(), instances=("loja-rj",)),
        later=replace(route(), events=("message_updated", "contact_*")),
    )
    ran = comporta("route", "test", "--event", file)
    assert ran.code == 0
    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    assert ran.out.splitlines()[0] == "message_created of loja-sp"
    assert lines["fits"].split() == ["fits", "yes", "crm"]
    assert "inbox_id = 12, 13 does not hold: inbox_id is 14" in lines["inbox"]
    assert "private = yes does not hold: the event has no private" in lines["missing"]
    assert "not.labels.any = vip does not hold: labels is vip" in lines["bot"]
    assert "the event has no custom_attributes.plano" in lines["plano"]
    assert "it is for loja-rj; the event is of loja-sp" in lines["elsewhere"]
    assert "it is for message_updated, contact_*; the event's type is" in lines["later"]
    assert "message_created" in lines["later"]


def test_the_exit_code_says_whether_the_named_route_or_any_fits(
    comporta: Any, stores: Any, file: str
) -> None:
    lead(stores, yes=route(), no=route(inbox_id=(1,)))
    assert comporta("route", "test", "yes", "--event", file).code == 0
    assert comporta("route", "test", "no", "--event", file).code == 8
    assert comporta("route", "test", "--event", file).code == 0
    lead(stores, no=route(inbox_id=(1,)))
    assert comporta("route", "test", "--event", file).code == 8
    lead(stores)
    empty = comporta("route", "test", "--event", file)
    assert (empty.code, "No routes." in empty.err) == (8, True)
    missing = comporta("route", "test", "nope", "--event", file)
    assert (missing.code, "no route" in missing.err) == (3, True)


def test_json_tells_the_condition_and_what_was_found(comporta: Any, stores: Any, file: str) -> None:
    lead(stores, no=route(inbox_id=(12, 13)), yes=route())
    ran = comporta("route", "test", "--event", file, "--json")
    assert ran.code == 0
    assert (ran.data["instance"], ran.data["event_type"]) == ("loja-sp", "message_created")
    assert ran.data["fits"] is True
    no, yes = ran.data["routes"]
    assert (no["fits"], no["part"], no["condition"]) == (False, "where", "inbox_id")
    assert (no["wanted"], no["found"], no["to"]) == ([12, 13], 14, ["crm"])
    assert (yes["fits"], yes["part"], yes["reason"]) == (True, None, "")


def test_the_words_are_portuguese_where_the_person_is(
    comporta: Any, stores: Any, file: str
) -> None:
    lead(stores, nao=route(inbox_id=(12,), private=(True,)))
    i18n.use("pt_BR")
    ran = comporta("route", "test", "--event", file)
    assert "inbox_id = 12 não se cumpre: inbox_id é 14" in ran.out


def test_a_stored_event_is_tried_by_its_id(comporta: Any, stores: Any) -> None:
    stores.ledger.body = json.dumps(MESSAGE).encode()
    lead(stores, yes=route(labels__all=("vip",)))
    ran = comporta("route", "test", "--event", EVT)
    assert (ran.code, "loja-sp" in ran.out) == (0, True)
    named = comporta("route", "test", "--event", EVT, "--instance", "loja-sp")
    assert (named.code, "leave --instance out" in named.err) == (2, True)


def test_a_stored_event_whose_body_is_gone_or_that_is_unknown_is_said_to_be(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.body = None
    gone = comporta("route", "test", "--event", EVT)
    assert (gone.code, "older than the retention" in gone.err) == (3, True)
    unknown = comporta("route", "test", "--event", ids.show("evt", 99))
    assert (unknown.code, "There is no event" in unknown.err) == (3, True)
    assert comporta("route", "test", "--event", "evt_x").code == 2


def test_standard_input_is_read_as_a_file(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(stores, yes=route(content__exact=("/ajuda",)))
    typed = io.TextIOWrapper(io.BytesIO(json.dumps(MESSAGE).encode()))
    monkeypatch.setattr("sys.stdin", typed)
    assert comporta("route", "test", "--event", "-").code == 0


def test_with_several_instances_the_file_needs_one_named(
    comporta: Any, stores: Any, file: str
) -> None:
    fleet: Fleet = stores.ledger.now_fleet
    stores.ledger.now_fleet = replace(
        fleet, instances=(*fleet.instances, Instance("ins_2", "loja-rj"))
    )
    bare = comporta("route", "test", "--event", file)
    assert (bare.code, "--instance" in bare.err) == (2, True)
    named = comporta("route", "test", "--event", file, "--instance", "loja-rj")
    assert (named.code, "message_created of loja-rj" in named.out) == (0, True)
    assert comporta("route", "test", "--event", file, "--instance", "loja").code == 3
    stores.ledger.now_fleet = replace(fleet, instances=())
    assert comporta("route", "test", "--event", file).code == 3


def test_what_is_no_body_is_refused_with_its_name(
    comporta: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.json"
    path.write_text("[1]")
    listed = comporta("route", "test", "--event", str(path))
    assert (listed.code, "does not hold a JSON object" in listed.err) == (6, True)
    gone = comporta("route", "test", "--event", str(tmp_path / "none.json"))
    assert (gone.code, "cannot be read" in gone.err) == (6, True)
    monkeypatch.setenv("COMPORTA_BODY_BYTES_MAX", "2048")
    monkeypatch.setenv("COMPORTA_PENDING_BYTES_MAX", "4096")
    for size, code in ((2048, 0), (2049, 6)):
        path.write_text(json.dumps({"event": ""}).ljust(size))
        assert comporta("route", "test", "--event", str(path)).code == code


def test_a_condition_that_fails_is_told_and_does_not_fit(
    comporta: Any, stores: Any, file: str
) -> None:
    lead(stores, newer=route(mood=("good",)))
    ran = comporta("route", "test", "--event", file)
    assert ran.code == 8
    assert "asking mood: ConditionError" in ran.out
    assert comporta("route", "test", "--event", file, "--json").data["routes"][0]["fits"] == "error"


def test_a_body_whose_fields_cannot_be_read_fails_only_where_a_route_asks_for_them(
    comporta: Any, stores: Any, tmp_path: Path
) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(b'{"event":"message_created","content":"\xff"}')
    lead(stores, all=route(), some=route(inbox_id=(1,)))
    ran = comporta("route", "test", "--event", str(path), "--json")
    assert ran.code == 0
    assert [one["fits"] for one in ran.data["routes"]] == [True, "error"]
    assert "NotAnObjectError" in ran.data["routes"][1]["reason"]


def test_a_route_is_added_with_conditions_of_every_form(comporta: Any, stores: Any) -> None:
    typed = (
        *("inbox_id=12", "inbox_id=13", "labels.any=vip", "labels.any=2026", "content.prefix=/"),
        *("content.regex=^a=b", "not.private=true", "custom_attributes.plano=gold"),
        *("custom_attributes.n=7", 'custom_attributes.cep="01310"', "custom_attributes.vip=true"),
    )
    options = [part for one in typed for part in ("--where", one)]
    assert comporta("route", "add", "nova", "--to", "crm", *options).code == 0
    assert stores.ledger.now_fleet.routes[-1].where == {
        "inbox_id": (12, 13),
        "labels.any": ("vip", "2026"),
        "content.prefix": ("/",),
        "content.regex": ("^a=b",),
        "not.private": (True,),
        "custom_attributes.plano": ("gold",),
        "custom_attributes.n": (7,),
        "custom_attributes.cep": ("01310",),
        "custom_attributes.vip": (True,),
    }


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("labels=vip", "labels.any"),
        ("content.regex=(", "cannot be used"),
        ("inbox_id=99999999999999999999", "far too large"),
        ("content.exact=a\x07", "none of them"),
        ("status=\udcff", "none of them"),
        ("custom_attributes.\udcff=1", "none of them"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused_on_the_command_line(
    comporta: Any, stores: Any, typed: str, said: str
) -> None:
    before = stores.ledger.now_fleet
    ran = comporta("route", "add", "nova", "--to", "crm", "--where", typed)
    assert (ran.code, said in ran.err) == (6, True)
    assert stores.ledger.now_fleet is before
