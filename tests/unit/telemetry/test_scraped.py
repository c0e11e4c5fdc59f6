"""Pages of `/metrics` read back: nothing is lost on the way, and servers become one rightly."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.telemetry import metric_defs as defs
from comporta.telemetry.metrics import Metrics
from comporta.telemetry.scraped import Found, merged, parse, quantile, rates
from comporta.telemetry.tally import Tally

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)


def page(tally: Tally) -> Found:
    return parse(asyncio.run(Metrics(tally).render())[0].decode())


@given(
    st.lists(st.tuples(NAMES, st.integers(1, 99)), max_size=5),
    st.lists(st.floats(0, 20), max_size=9),
)
def test_what_was_counted_is_what_is_read(events: list[tuple[str, int]], acks: list[float]) -> None:
    tally = Tally()
    for name, count in events:
        tally.events_duplicate.add((name,), count)
    for ack_s in acks:
        tally.ack_seconds.observe(ack_s)
    found = page(tally)
    wanted = {labels: [cell.value] for labels, cell in tally.events_duplicate.cells()}
    assert found[defs.EVENTS_DUPLICATE.name] == wanted
    cells = dict(tally.ack_seconds.cells())
    assert found[defs.ACK_SECONDS.name] == {(): cells[()].counts}


def test_what_servers_share_is_not_summed() -> None:
    pages: list[Found] = [
        {
            defs.EVENTS_RECORDED.name: {(): [number]},
            defs.DELIVERIES_DEAD.name: {(): [number]},
            defs.LAST_EVENT.name: {("loja",): [number], (f"so-{number:g}",): [1.0]},
        }
        for number in (3.0, 5.0)
    ]
    assert merged(pages) == {
        defs.EVENTS_RECORDED.name: {(): [8.0]},
        defs.DELIVERIES_DEAD.name: {(): [5.0]},
        defs.LAST_EVENT.name: {("loja",): [5.0], ("so-3",): [1.0], ("so-5",): [1.0]},
    }
    assert merged(reversed(pages)) == merged(pages)


def test_rates_of_a_server_that_began_anew_are_of_what_it_has_counted_since() -> None:
    name, level = defs.EVENTS_RECORDED.name, defs.DELIVERIES_DEAD.name
    before: Found = {name: {(): [100.0]}, level: {(): [9.0]}}
    now: Found = {name: {(): [120.0]}}
    assert rates(before, now, 10.0) == {name: {(): [2.0]}}
    assert rates(now, before, 10.0) == {name: {(): [10.0]}}
    assert rates({}, now, 10.0) == {name: {(): [12.0]}}


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ((), 0.5, None),
        ((0.003,), 0.5, 0.00375),
        ((0.003,) * 99 + (0.2,), 0.99, 0.005),
        ((9.0,), 0.99, 5.0),
    ],
)
def test_a_percentile_is_the_one_that_prometheus_estimates(
    values: tuple[float, ...], share: float, expected: float | None
) -> None:
    tally = Tally()
    for value in values:
        tally.ack_seconds.observe(value)
    counts = page(tally)[defs.ACK_SECONDS.name][()]
    found = quantile(defs.ACK_SECONDS, counts, share)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_a_gateway_of_another_version_costs_what_cannot_be_compared_and_no_more() -> None:
    text = """# TYPE comporta_new_total counter
comporta_new_total 3
# TYPE comporta_ack_seconds histogram
comporta_ack_seconds_bucket{le="7"} 1
comporta_ack_seconds_bucket{le="+Inf"} 2
comporta_ack_seconds_count 2
comporta_ack_seconds_sum 9
# TYPE comporta_workers gauge
comporta_workers 4
"""
    assert parse(text) == {defs.ACK_SECONDS.name: {}, defs.WORKERS.name: {(): [4.0]}}


def test_what_is_no_page_is_refused() -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse("<html>hello</html>")
