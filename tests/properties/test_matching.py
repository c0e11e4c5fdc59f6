"""Compiled routes choose what a slow and obvious reading of them chooses."""

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.event import Fields
from comporta.domain.fleet import Destination, Fleet, Instance, Route, Scalar
from comporta.domain.matching import COMBINATIONS_MAX, Choice, RouteTable

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
wheres = st.dictionaries(
    st.sampled_from(["inbox_id", "private", "message_type"]),
    st.lists(scalars, min_size=1, max_size=3).map(tuple),
)
fields = st.builds(
    Fields,
    inbox_id=st.sampled_from([None, 0, 1, 12]),
    private=st.sampled_from([None, True, False]),
    message_type=st.sampled_from([None, "1", "incoming", ""]),
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


def chosen_slowly(
    rules: tuple[Route, ...], name: str, event_type: str, seen: Fields
) -> list[Choice]:
    found: list[Choice] = []
    for route in rules:
        if not any(fnmatchcase(name, glob) for glob in route.instances):
            continue
        if not any(fnmatchcase(event_type, glob) for glob in route.events):
            continue
        if not all(
            any(same(getattr(seen, field), value) for value in values)
            for field, values in route.where.items()
        ):
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
