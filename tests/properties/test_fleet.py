"""Fleets of any shape: what is exported reads back to the same, and no slip is taken silently."""

import base64
import os
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comporta.domain.classes import EventClass
from comporta.domain.fleet import Fleet, Scalar, SourceKind
from comporta.domain.patterns import pattern_problem
from comporta.domain.rate import parse_rate
from comporta.errors import FleetError
from comporta.fleet.credentials import make_header, make_secret, make_signing_secret, make_token
from comporta.fleet.declared import (
    Declared,
    DeclaredDestination,
    DeclaredInstance,
    DeclaredRoute,
    DeclaredSource,
    GivenSecret,
)
from comporta.fleet.parse import parse
from comporta.fleet.plan import declare, plan
from comporta.fleet.render import render
from comporta.vault import Vault

EXAMPLE = Path(__file__).parents[2] / "fleet.example.toml"
VAULT = Vault(bytes(32))
ENVIRONMENT = {"FIRST": "the-first-value-of-all", "SECOND": "the-second-value-of-all"}

_letter_or_quote = st.sampled_from(["\\", '"', "'", "#"]) | st.characters(
    exclude_categories=["C", "Z"]
)
_printable = st.lists(_letter_or_quote, min_size=1, max_size=8).map("".join)
_slug = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,5}", fullmatch=True)
_url = st.from_regex(r"https?://[a-z]{1,5}(:[1-9][0-9]{0,3})?/[\"'a-z0-9?=&%]{0,9}", fullmatch=True)
_secret = st.one_of(
    _printable.filter(lambda text: ":" not in text).map(GivenSecret),
    st.sampled_from(sorted(ENVIRONMENT)).map(
        lambda name: GivenSecret(ENVIRONMENT[name], ref=f"env:{name}")
    ),
)
_signing_secret = st.binary(min_size=24, max_size=64).map(
    lambda raw: make_signing_secret("whsec_" + base64.b64encode(raw).decode(), VAULT)
)
_integers = st.integers(-(2**63) + 1, 2**63 - 1)
_fields: dict[str, st.SearchStrategy[Any]] = {
    "inbox_id": _integers,
    "private": st.booleans(),
    "message_type": _printable,
    "channel": _printable,
    "labels.any": _printable,
    "not.labels.all": _printable,
    "content.prefix": _printable,
    "not.content.regex": _printable.map(re.escape).filter(lambda text: not pattern_problem(text)),
    "custom_attributes.plano": _printable | _integers | st.booleans(),
    'not.custom_attributes.o "nome".de\\ cá': _printable | _integers,
}


_rate = st.builds(
    lambda number, unit, burst: parse_rate(f"{number}/{unit}", burst),
    st.integers(1, 100_000),
    st.sampled_from(["s", "min", "h"]),
    st.none() | st.integers(1, 100_000),
)
_event_pattern = st.sampled_from(["*", "message_*", "new.event", "contact_updated", "a?:b-c"])
_class = st.sampled_from([one.value for one in EventClass])
_header = st.from_regex(r"[a-z!#$%&'*+.^_`|~0-9-]{1,9}", fullmatch=True).filter(
    lambda name: not name.startswith(("ce-", "te", "host", "expect"))
)
_value = st.one_of(
    _printable.filter(lambda text: ":" not in text and text == text.strip()).map(GivenSecret),
    st.just(GivenSecret(ENVIRONMENT["FIRST"], ref="env:FIRST")),
)
_expression = st.sampled_from(["@", 'a."b\\"c"', '{a: b,\n\t c: `"x"`}', "[?a == 'é']"])


def _shaped(one: DeclaredDestination) -> st.SearchStrategy[DeclaredDestination]:
    plain = st.sampled_from(["raw", "cloudevents"]).map(lambda name: replace(one, format=name))
    return plain | _expression.map(lambda text: replace(one, format="jmespath", transform=text))


@st.composite
def _source(draw: st.DrawFn, tokens: st.SearchStrategy[str]) -> DeclaredSource:
    return DeclaredSource(
        name=draw(_slug),
        kind=draw(st.sampled_from([kind.value for kind in SourceKind])),
        tokens=tuple(map(make_token, draw(st.lists(tokens, max_size=2)))),
        secrets=tuple(draw(st.lists(_secret, max_size=3, unique_by=lambda secret: secret.text))),
    )


@st.composite
def _route(draw: st.DrawFn, instances: list[str], destinations: list[str]) -> DeclaredRoute:
    names = st.sampled_from([*instances, "*", "loja-*"])
    fields = sorted(
        draw(st.sets(st.sampled_from(sorted(_fields)), min_size=draw(st.integers(0, 4))))
    )
    where: dict[str, tuple[Scalar, ...]] = {
        field: tuple(draw(st.lists(_fields[field], min_size=1, max_size=3, unique=True)))
        for field in fields
    }
    return DeclaredRoute(
        name=draw(_slug),
        to=tuple(draw(st.lists(st.sampled_from(destinations), min_size=1, unique=True))),
        instances=tuple(draw(st.lists(names, min_size=1, unique=True))),
        events=tuple(
            draw(
                st.lists(st.sampled_from(["*", "message_*", "new.event"]), min_size=1, unique=True)
            )
        ),
        where=where,
    )


def _named(things: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(things, max_size=size, unique_by=lambda thing: thing.name)


@st.composite
def fleets(draw: st.DrawFn) -> Declared:
    """Valid fleets. No token is drawn twice."""
    numbers = count()
    tokens = st.integers(0, 24).map(lambda size: f"tok-{next(numbers):012}" + "x" * size)
    sources = _named(_source(tokens), 2)
    instances = draw(
        _named(
            st.builds(DeclaredInstance, _slug, st.one_of(st.just(""), _url), sources.map(tuple)),
            3,
        )
    )
    destinations = draw(
        _named(
            st.builds(
                DeclaredDestination,
                _slug,
                _url,
                st.none() | _signing_secret,
                st.floats(0.001, 120),
                st.lists(st.floats(0, 600_000), max_size=4).map(tuple),
                rate=st.none() | _rate,
                concurrency=st.integers(0, 1000),
                instance_concurrency=st.integers(0, 1000),
                park_s=st.floats(0.001, 600_000),
                classes=st.dictionaries(_event_pattern, _class, max_size=3),
                headers=st.dictionaries(_header, _value, max_size=3),
            ).flatmap(_shaped),
            3,
        )
    )
    names = [one.name for one in destinations]
    route = _route([one.name for one in instances], names)
    routes = draw(_named(route, 3)) if names else []
    return Declared(tuple(instances), tuple(destinations), tuple(routes))


@settings(max_examples=40, deadline=None)
@given(fleets(), st.booleans())
def test_what_is_exported_reads_back_to_the_same_fleet(declared: Declared, reveal: bool) -> None:
    with patch.dict(os.environ, ENVIRONMENT):
        fleet = plan(Fleet(), declared, VAULT).fleet
        text = render(declare(fleet), VAULT, reveal=reveal)
        again = plan(fleet, parse(text, "export.toml", VAULT), VAULT)
    assert again.changes == ()
    assert again.fleet is fleet
    assert again.shown == ()


@settings(max_examples=40, deadline=None)
@given(fleets(), fleets())
def test_applying_any_fleet_over_any_other_settles_at_once_and_keeps_ids(
    first: Declared, second: Declared
) -> None:
    old = plan(Fleet(), first, VAULT).fleet
    new = plan(old, second, VAULT).fleet
    assert plan(new, second, VAULT).changes == ()
    assert [one.name for one in new.instances] == [one.name for one in second.instances] or (
        new is old
    )
    for kind in ("instances", "destinations", "routes"):
        before = {one.name: one.id for one in getattr(old, kind)}
        for one in getattr(new, kind):
            assert before.get(one.name, one.id) == one.id


@settings(max_examples=40, deadline=None)
@given(fleets())
def test_neither_a_plan_nor_a_sealed_export_shows_a_secret(declared: Declared) -> None:
    marked = replace(
        declared,
        instances=tuple(
            replace(
                one,
                sources=tuple(
                    replace(source, secrets=(make_secret("TOP-S3CRET-VALUE", VAULT),))
                    for source in one.sources
                ),
            )
            for one in declared.instances
        ),
        destinations=tuple(
            replace(one, headers={"x-key": make_header("TOP-S3CRET-VALUE", VAULT)})
            for one in declared.destinations
        ),
    )
    done = plan(Fleet(), marked, VAULT)
    assert "TOP-S3CRET" not in repr(marked) + repr(done) + render(declare(done.fleet), VAULT)
    for shown in done.shown:
        assert shown.token not in repr(done)


FULL = """\
[[instance]]
name = "loja-sp"
url = "https://chat.loja-sp.example"
[[instance.source]]
name = "conta"
kind = "account"
token = "abcdefghijklmnop"
secrets = ["x"]
[[instance.source]]
name = "bot"
kind = "agent_bot"
tokens = ["ponmlkjihgfedcba"]
[[destination]]
name = "crm"
url = "http://127.0.0.1:9001/hook"
secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
timeout_s = 10
retry = [5, 30]
rate = "50/s"
burst = 5
concurrency = 40
instance_concurrency = 10
park_s = 60
classes = { "message_*" = "ordered" }
format = "jmespath"
transform = "{a: content}"
headers = { "x-key" = "x" }
[[route]]
name = "mensagens"
instances = ["*"]
events = ["message_created"]
where = { inbox_id = [12, 14], message_type = "incoming", private = false }
to = ["crm"]
"""
KEYS = [match.span(1) for match in re.finditer(r"(\w+)(?= = )", FULL)] + [
    match.span(1) for match in re.finditer(r"\[\[([\w.]+)\]\]", FULL)
]
_letter = st.sampled_from("abcdefghijklmnopqrstuvwxyz_-.AS10")
SLIPS: dict[str, Callable[[str, int, str], str]] = {
    "left out": lambda key, at, _letter: key[:at] + key[at + 1 :],
    "wrong": lambda key, at, letter: key[:at] + letter + key[at + 1 :],
    "too many": lambda key, at, letter: key[:at] + letter + key[at:],
    "swapped": lambda key, at, _letter: key[:at] + key[at + 1 : at + 2] + key[at] + key[at + 2 :],
}


def test_the_text_for_the_next_test_is_right_in_itself() -> None:
    assert parse(FULL, "fleet.toml", VAULT).warnings == ()
    assert len(KEYS) == 36


@pytest.mark.parametrize("slip", SLIPS)
@settings(deadline=None)
@given(where=st.sampled_from(KEYS), at=st.integers(0, 30), letter=_letter)
def test_a_slip_of_one_character_in_a_key_is_never_applied_silently(
    slip: str, where: tuple[int, int], at: int, letter: str
) -> None:
    start, end = where
    key = FULL[start:end]
    mistyped = SLIPS[slip](key, at % len(key), letter)
    assume(mistyped != key)
    with pytest.raises(FleetError) as caught:
        parse(FULL[:start] + mistyped + FULL[end:], "fleet.toml", VAULT)
    assert str(caught.value).startswith("fleet.toml:")


@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, len(FULL)),
    gone=st.integers(0, 5),
    put=st.text(st.sampled_from("abc\"'[]{}=#.,\n\\ 1-\x00é"), max_size=5),
)
def test_however_a_file_is_damaged_it_is_read_or_refused_and_never_crashes(
    at: int, gone: int, put: str
) -> None:
    text = FULL[:at] + put + FULL[at + gone :]
    with suppress(FleetError):
        assert isinstance(parse(text, "fleet.toml", VAULT), Declared)


def test_the_example_file_is_a_valid_fleet() -> None:
    declared = parse(EXAMPLE.read_text(), "fleet.example.toml", VAULT)
    assert declared.warnings == ()
    assert [one.name for one in declared.routes] == ["mensagens"]
