"""What `comporta top` works out: trouble first, and nothing that is not known."""

from hypothesis import given
from hypothesis import strategies as st

from comporta.cli.top_picture import View, picture
from comporta.cli.top_screen import shares
from comporta.cli.top_words import headline, number, span
from comporta.telemetry import metric_defs as defs
from comporta.telemetry.scraped import Found

COUNTS = {"crm": ("delivered", 50.0), "n8n": ("scheduled", 2.0), "erp": ("delivered", 60.0)}


def page(times: float) -> Found:
    return {
        defs.DELIVERIES.name: {(to, how): [n * times] for to, (how, n) in COUNTS.items()},
        defs.BREAKER_STATE.name: {("crm",): [0.0], ("n8n",): [0.0], ("bot",): [2.0]},
        defs.EVENTS_ACCEPTED.name: {("loja-a", "account", "t"): [9.0 * times]},
        defs.LAST_EVENT.name: {("loja-a",): [99.0]},
        defs.CLOCK_OFFSET.name: {("loja-a",): [0.4], ("loja-b",): [-40.0]},
    }


def test_what_is_in_trouble_stands_first() -> None:
    found = picture([View(page(2), page(1), 10.0)], 100.0)
    assert [one.destination for one in found.destinations] == ["bot", "n8n", "erp", "crm"]
    assert [one.in_trouble for one in found.destinations] == [True, True, False, False]
    assert [one.instance for one in found.instances] == ["loja-b", "loja-a"]
    assert found.destinations[0].breaker == "open"
    assert found.destinations[1].failed_per_s == 0.2
    assert found.instances[1].events_per_s == 0.9
    assert found.instances[1].last_event_age_s == 1.0
    assert (found.totals.delivered_per_s, found.totals.failed_per_s) == (11.0, 0.2)


def test_two_gateways_are_one() -> None:
    view = View(page(2), page(1), 10.0)
    one, two = picture([view], 100.0), picture([view, view], 100.0)
    assert two.totals.accepted_per_s == 2 * one.totals.accepted_per_s
    assert [row.breaker for row in two.destinations] == [row.breaker for row in one.destinations]


def test_nothing_is_shown_where_nothing_is_known() -> None:
    found = picture([View({})], 100.0)
    assert (found.instances, found.destinations) == ((), ())
    assert found.totals.accepted_per_s == 0.0
    assert found.totals.ack_p99_s is found.totals.dead is None
    assert "- " in headline(found.totals)[1]


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(-20, 200))
def test_two_tables_fit_the_terminal_and_leave_no_room_that_a_row_could_have(
    first: int, second: int, room: int
) -> None:
    one, other = shares(first, second, room)
    assert 0 <= one <= first
    assert 0 <= other <= second
    assert one + other == min(first + second, max(room, 2))


def test_numbers_are_short() -> None:
    assert [number(one) for one in (None, 0.0, 0.25, 3.0, 1234.5)] == ["-", "0", "0.2", "3", "1234"]
    spans = [span(one) for one in (None, 0.0042, -0.5, 3.21, 600.0, 7200.0, 864000.0)]
    assert spans == ["-", "4 ms", "-500 ms", "3.2 s", "10 min", "2 h", "10 d"]
