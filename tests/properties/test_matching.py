"""Compiled routes choose what a slow and obvious reading of them chooses."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.event import Fields
from comporta.domain.explaining import explain
from comporta.domain.fleet import Destination, Fleet, Instance, Route, Scalar
from comporta.domain.matching import COMBINATIONS_MAX, ERROR_BYTES_MAX, Choice, RouteTable

NAMES = ["loja-sp", "loja-rj", "clinica"]
EVENTS = ["message_created", "message_updated", "contact_created", ""]
FLEET = Fleet(
    1,
    tuple(Instance(f"ins_{name}", name) for name in NAMES),
    tuple(Destination(f"dst_{name}", name, "http://localhost/") for name in ("crm", "bot", "n8n")),
)
scalars: st.SearchStrategy[Scalar] = st.sampled_from([0, 1, 12, True, False, "1", "incoming", ""])
globs = st.lists(
    st.sampled_from([*NAMES, "*", "loja-*", "*-sp", "?linica", "[lc]*", "Loja-SP"]), min_size=1
)
event_globs = st.lists(st.sampled_from([*EVENTS, "*", "message_*", "*_created"]), min_size=1)
words = st.sampled_from(["", "vip", "ouro", "ol\u00e1", "/ajuda", "VIP"])
negations = st.sampled_from(["", "not."])


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=3).map(tuple)


conditions = st.one_of(
    st.tuples(
        st.sampled_from(["inbox_id", "private", "message_type", "custom_attributes.plano.x"]),
        some(scalars),
    ),
    st.tuples(
        st.sampled_from(["labels.any", "labels.all", "content.exact", "content.prefix"]),
        some(words),
    ),
    st.tuples(st.just("content.regex"), some(st.sampled_from(["^/", "(?i)vip", "\u00e1$", ""]))),
)
wheres = st.lists(st.tuples(negations, conditions), max_size=4).map(
    lambda drawn: {negation + key: values for negation, (key, values) in drawn}
)
fields = st.builds(
    Fields,
    inbox_id=st.sampled_from([None, 0, 1, 12]),
    private=st.sampled_from([None, True, False]),
    message_type=st.sampled_from([None, "1", "incoming", ""]),
    labels=st.none() | st.lists(words, max_size=3).map(tuple),
    content=st.none() | words,
    custom_attributes=st.none()
    | st.dictionaries(st.sampled_from(["plano.x", "plano"]), scalars | st.just(1.0), max_size=2),
)


@st.composite
def routes(draw: st.DrawFn) -> tuple[Route, ...]:
    count = draw(st.integers(0, 5))
    return tuple(
        Route(
            f"rte_{number}",
            f"route {number}",
            tuple(draw(st.lists(st.sampled_from(["crm", "bot", "n8n", "removed"])))),
            tuple(draw(globs)),
            tuple(draw(event_globs)),
            draw(wheres),
        )
        for number in range(count)
    )


def same(left: object, right: object) -> bool:
    return type(left) is type(right) and left == right


def holds_slowly(key: str, values: tuple[Scalar, ...], seen: Fields) -> bool:
    if key.startswith("not."):
        return not holds_slowly(key[4:], values, seen)
    field, _, part = key.partition(".")
    found: Any = getattr(seen, field)
    if field == "custom_attributes":
        found = (found or {}).get(part)
    match field, part:
        case "labels", "any":
            return any(value in (found or ()) for value in values)
        case "labels", "all":
            return all(value in (found or ()) for value in values)
        case "content", "prefix":
            return found is not None and any(found[: len(v)] == v for v in values if type(v) is str)
        case "content", "regex":
            return found is not None and any(re.search(str(value), found) for value in values)
    return any(same(found, value) for value in values)


def chosen_slowly(
    rules: tuple[Route, ...], name: str, event_type: str, seen: Fields
) -> list[Choice]:
    found: list[Choice] = []
    for route in rules:
        if not any(fnmatchcase(name, glob) for glob in route.instances):
            continue
        if not any(fnmatchcase(event_type, glob) for glob in route.events):
            continue
        if not all(holds_slowly(key, values, seen) for key, values in route.where.items()):
            continue
        for to in route.to:
            known = {choice.destination_id for choice in found}
            if to != "removed" and f"dst_{to}" not in known:
                found.append(Choice(route.id, f"dst_{to}"))
    return found


@given(routes(), st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(EVENTS), fields)))
def test_routes_choose_each_destination_once_by_the_first_route_that_fits(
    rules: tuple[Route, ...], events: list[tuple[str, str, Fields]]
) -> None:
    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, rules))
    for name, event_type, seen in events:
        asked: list[Fields] = []

        def read(seen: Fields = seen, asked: list[Fields] = asked) -> Fields:
            asked.append(seen)
            return seen

        found = table.choose(f"ins_{name}", event_type, read)
        assert list(found) == chosen_slowly(rules, name, event_type, seen)
        assert len(asked) <= 1, "the body was read twice"


@given(routes(), st.sampled_from(NAMES), st.sampled_from(EVENTS), fields)
def test_what_is_explained_is_what_is_done(
    rules: tuple[Route, ...], name: str, event_type: str, seen: Fields
) -> None:
    for route in rules:
        table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (route,)))
        chosen = table.choose(f"ins_{name}", event_type, lambda: seen)
        verdict = explain(route, name, event_type, lambda: seen)
        if set(route.to) - {"removed"}:
            assert verdict.fits == bool(chosen)
        if verdict.miss is not None and verdict.miss.condition:
            key, values = verdict.miss.condition, verdict.miss.wanted
            assert route.where[key] == values
            assert not holds_slowly(key, values, seen)


def test_true_is_not_one() -> None:
    route = Route("rte_1", "r", ("crm",), where={"inbox_id": (True,)})
    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (route,)))
    assert table.choose("ins_loja-sp", "message_created", lambda: Fields(inbox_id=1)) == ()
    route = Route("rte_1", "r", ("crm",), where={"private": (1,)})
    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (route,)))
    assert table.choose("ins_loja-sp", "message_created", lambda: Fields(private=True)) == ()


def test_the_body_is_not_read_if_no_route_asks_for_a_field() -> None:
    def never() -> Fields:
        raise AssertionError

    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (Route("r", "r", ("crm",)),)))
    assert table.choose("ins_loja-sp", "message_created", never) == (Choice("r", "dst_crm"),)


def test_endless_event_types_are_settled_each_time_and_not_remembered() -> None:
    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (Route("r", "r", ("crm",)),)))
    for number in range(COMBINATIONS_MAX + 10):
        assert table.choose("ins_loja-sp", f"made_up_{number}", Fields)
    assert len(table._known) == COMBINATIONS_MAX


def failing(error: Exception) -> Callable[[], Fields]:
    """Fields that raise when a condition looks at them: a defect, as it might be."""

    class Odd(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise error

    return lambda: Fields(status=Odd("open"), inbox_id=12)


def test_a_matcher_that_raises_leaves_a_traceback_and_the_other_routes_go_on() -> None:
    odd = Route("rte_1", "odd", ("crm", "bot"), where={"status": ("open",)})
    sound = Route("rte_2", "sound", ("n8n",), where={"inbox_id": (12,)})
    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (odd, sound)))
    crm, bot, n8n = table.choose("ins_loja-sp", "message_created", failing(KeyError("d3f3ct")))
    assert (crm.destination_id, bot.destination_id) == ("dst_crm", "dst_bot")
    assert crm.error == bot.error
    assert crm.error.startswith("Traceback")
    assert "d3f3ct" in crm.error
    assert n8n == Choice("rte_2", "dst_n8n")


def test_where_another_route_leads_to_the_same_place_a_failed_one_is_passed_over() -> None:
    odd = Route("rte_1", "odd", ("crm",), where={"status": ("open",)})
    sound = Route("rte_2", "sound", ("crm",))
    for order in ((odd, sound), (sound, odd)):
        table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, order))
        chosen = table.choose("ins_loja-sp", "message_created", failing(KeyError()))
        assert chosen == (Choice("rte_2", "dst_crm"),)


def test_a_body_that_cannot_be_read_fails_only_the_routes_that_ask() -> None:
    def unreadable() -> Fields:
        raise RuntimeError("\u00e9" * ERROR_BYTES_MAX + " what happened")

    asks = Route("rte_1", "asks", ("crm",), where={"status": ("open",)})
    asks_not = Route("rte_2", "asks not", ("bot",))
    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (asks, asks_not)))
    crm, bot = table.choose("ins_loja-sp", "message_created", unreadable)
    assert ERROR_BYTES_MAX - 2 <= len(crm.error.encode()) <= ERROR_BYTES_MAX
    assert crm.error.rstrip().endswith("what happened")
    assert bot == Choice("rte_2", "dst_bot")


def test_a_condition_of_a_newer_version_neither_stops_the_routes_nor_loses_an_event() -> None:
    newer = Route("rte_1", "newer", ("crm",), where={"mood": ("good",)})
    older = Route("rte_2", "older", ("bot",), where={"status": ("open",)})
    table = RouteTable(Fleet(1, FLEET.instances, FLEET.destinations, (newer, older)))
    crm, bot = table.choose("ins_loja-sp", "message_created", lambda: Fields(status="open"))
    assert "there is no condition 'mood'" in crm.error
    assert bot == Choice("rte_2", "dst_bot")
    assert "mood" in explain(newer, "loja-sp", "message_created", Fields).error
