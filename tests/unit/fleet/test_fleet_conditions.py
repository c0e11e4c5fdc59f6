"""Conditions in a fleet file: their forms, what is refused and where, what is stored."""

import json

import msgspec
import pytest

from comporta.domain.conditions import CONDITIONS_MAX, PATTERNS_MAX
from comporta.domain.fleet import Fleet, Route
from comporta.errors import FleetError
from comporta.fleet.declared import LIST_MAX, Declared
from comporta.fleet.parse import parse
from comporta.fleet.plan import declare, plan
from comporta.fleet.render import render
from comporta.vault import Vault

VAULT = Vault(bytes(32))
HEAD = """\
[[destination]]
name = "crm"
url = "http://localhost/"
[[route]]
name = "r"
to = ["crm"]
"""


def read(where: str) -> Declared:
    return parse(HEAD + where, "fleet.toml", VAULT)


def where(text: str) -> dict[str, object]:
    return dict(read(f"where = {{ {text} }}").routes[0].where)


EVERYTHING = """\
inbox_id = [12, 13], labels = { any = ["vip", "ouro"], all = ["pago"] }, \
content = { prefix = "/" }, "custom_attributes.plano" = "gold", \
not = { sender_type = "agent_bot", private = true }"""


def test_tables_and_dots_are_the_same() -> None:
    wanted = {
        "inbox_id": (12, 13),
        "labels.any": ("vip", "ouro"),
        "labels.all": ("pago",),
        "content.prefix": ("/",),
        "custom_attributes.plano": ("gold",),
        "not.sender_type": ("agent_bot",),
        "not.private": (True,),
    }
    assert where(EVERYTHING) == wanted
    lines = """\
[route.where]
inbox_id = [12, 13]
labels.any = ["vip", "ouro"]
labels.all = ["pago"]
content.prefix = ["/"]
custom_attributes = { plano = "gold" }
not.sender_type = "agent_bot"
"not.private" = true
"""
    assert read(lines).routes[0].where == wanted


def test_what_is_inside_not_may_lie_as_deep_as_outside() -> None:
    assert where('not = { labels = { any = "a" }, custom_attributes = { x = 1 } }') == {
        "not.labels.any": ("a",),
        "not.custom_attributes.x": (1,),
    }


def test_the_name_of_an_attribute_may_hold_dots_and_quotes() -> None:
    read_back = where("""custom_attributes = { 'o "a".b' = 1 }""")
    assert read_back == {'custom_attributes.o "a".b': (1,)}


def test_an_export_is_read_back_to_the_same_and_a_plan_shows_what_differs() -> None:
    fleet = plan(Fleet(), read(f"where = {{ {EVERYTHING} }}"), VAULT).fleet
    again = parse(render(declare(fleet), VAULT), "export.toml", VAULT)
    assert plan(fleet, again, VAULT).changes == ()
    (change,) = plan(fleet, read('where = { labels.any = ["vip"] }'), VAULT).changes
    assert (change.kind, change.name) == ("change", "r")
    assert '"not.private": [true]' in change.detail


def test_a_fleet_that_an_earlier_version_stored_is_read() -> None:
    stored = {
        "version": 7,
        "routes": [
            {
                "id": "rte_1",
                "name": "r",
                "to": ["crm"],
                "where": {"inbox_id": [12], "private": [False]},
            }
        ],
    }
    fleet = msgspec.json.decode(json.dumps(stored), type=Fleet)
    assert fleet.routes == (
        Route("rte_1", "r", ("crm",), where={"inbox_id": (12,), "private": (False,)}),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('labels = "vip"', '"labels" is not asked for as a whole. Write one of: labels.any'),
        ('not = { content = "oi" }', "Write one of: content.exact, content.prefix"),
        ('custom_attributes = "x"', "Write one of: custom_attributes.NAME"),
        ('labels = { some = "vip" }', 'Events have no field "labels.some"'),
        ('labels = { anny = "vip" }', 'Did you mean "labels.any"?'),
        ('not = { sender_tipe = "user" }', 'Did you mean "sender_type"?'),
        ("labels = { any = [] }", "This list is empty"),
        ('labels = { any = ["a", "a"] }', '"a" is there twice'),
        ("labels = {}", "This table is empty"),
        ("not = {}", "This table is empty"),
        ("not = 1", "Events have no field"),
        ("not = { not = { private = true } }", '"not" stands once'),
        ('"not.not.private" = true', '"not" stands once'),
        ("not = { private = 1 }", "not.private is true or false"),
        ("labels = { any = 2026 }", "labels.any is a text in quotes"),
        ("custom_attributes = { x = 1.5 }", "This must be a text, a whole number, true or false."),
        ("custom_attributes = { x = { y = { z = 1 } } }", "This must be a text, a whole number"),
        ("inbox_id = { is = 12 }", 'Events have no field "inbox_id.is"'),
        ('labels.any = "a", "labels.any" = "b"', '"labels.any" is there twice'),
        ('content.regex = "("', 'The regular expression "(" cannot be used: missing )'),
        ('not = { content.regex = "(?=a)" }', "The syntax is RE2's"),
        (f'content.regex = "{"a" * 1001}"', "longer than 1000 characters"),
        (f'custom_attributes.{"a" * 65} = "x"', "has at most 64 characters"),
        (f'content.prefix = "{"a" * 2049}"', "A text has at most 2048"),
        (f"inbox_id = {list(range(LIST_MAX + 1))}", f"A list has at most {LIST_MAX} items"),
    ],
)
def test_what_can_never_be_meant_is_refused_in_its_line(text: str, said: str) -> None:
    with pytest.raises(FleetError) as caught:
        where(text)
    assert str(caught.value).startswith("fleet.toml:7: ")
    assert said in str(caught.value)


def test_a_bad_pattern_is_refused_in_its_own_line_however_it_is_written() -> None:
    for line in ('content = { regex = "(" }', 'content.regex = "("', '"content.regex" = ["("]'):
        with pytest.raises(FleetError, match=r"^fleet.toml:9: The regular"):
            read(f'[route.where]\nstatus = "open"\n{line}\n')


def test_conditions_patterns_and_values_are_possible_up_to_their_bounds_and_not_beyond() -> None:
    def conditions(count: int) -> str:
        return ", ".join(f'custom_attributes.a{number} = "x"' for number in range(count))

    def patterns(count: int) -> str:
        return f"content.regex = {json.dumps([f'^{number}' for number in range(count)])}"

    assert len(where(conditions(CONDITIONS_MAX))) == CONDITIONS_MAX
    with pytest.raises(FleetError, match=f"at most {CONDITIONS_MAX} conditions"):
        where(conditions(CONDITIONS_MAX + 1))
    assert where(patterns(PATTERNS_MAX))
    with pytest.raises(FleetError, match=f"At most {PATTERNS_MAX} regular expressions"):
        where(patterns(PATTERNS_MAX + 1))
    assert where(f"inbox_id = {list(range(LIST_MAX))}")
    assert where(f'custom_attributes.{"a" * 64} = "{"x" * 2048}"')
    assert where(f'content.regex = "{"a" * 1000}"')
