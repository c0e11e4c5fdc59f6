"""Is it them or us: a table of what each number says, and what holds of all of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain import diagnosis as d
from comporta.domain.diagnosis import (
    Cause,
    Measure,
    Numbers,
    Receiver,
    Refusals,
    Sign,
    diagnose,
    measure,
)

WELL = Numbers(
    window_s=900,
    events=100,
    last_event_at_ms=1,
    sending=Measure(40, 0.2, 0.5, 2.0, 9.0),
    way=Measure(40, 0.1, 0.4, 1.0, 1.1),
    answer_p99_s=0.05,
    taking=Measure(100, 0.0, 0.02, 0.1, 0.3),
    log_lag=3,
    workers=2,
    receivers=(Receiver("crm", 20, 1, "HTTP 503", Measure(20, 0.1, 0.1, 0.4, 0.9), open=2),),
)


def late(seconds: float) -> Measure:
    return Measure(10, seconds, seconds, seconds, seconds)


def crm(**changes: object) -> dict[str, object]:
    return {"receivers": (msgspec.structs.replace(WELL.receivers[0], **changes),)}


@pytest.mark.parametrize(
    ("changes", "cause", "sign"),
    [
        ({"sending": late(d.SENDER_LATE_S + 0.1)}, Cause.SENDER, Sign.SENT_LATE),
        ({"sending": late(d.SENDER_LATE_S)}, Cause.NOTHING, None),
        ({"way": Measure(9, 0.1, 0.1, 3.2, 4.0)}, Cause.NETWORK, Sign.TRAVELLED_LATE),
        ({"way": Measure(9, -20.0, -19.0, -18.5, -18.0)}, Cause.NOTHING, None),
        ({"way": late(-31.0)}, Cause.NOTHING, Sign.CLOCKS),
        ({"answer_p99_s": float("inf")}, Cause.US, Sign.ANSWERED_LATE),
        ({"taking": late(5.1)}, Cause.US, Sign.TAKEN_OVER_LATE),
        ({"log_lag": d.BEHIND_ENTRIES + 1}, Cause.US, Sign.LOG_BEHIND),
        ({"workers": 0}, Cause.US, Sign.NO_WORKERS),
        (
            {"refusals": (Refusals(401, "The signature is not right", 1, 0),)},
            Cause.SENDER,
            Sign.REFUSED_THEIRS,
        ),
        ({"refusals": (Refusals(503, "x", 1, 0),)}, Cause.US, Sign.REFUSED_OURS),
        ({"refusals": (Refusals(429, "x", 1, 0),)}, Cause.US, Sign.REFUSED_OURS),
        ({"refusals": (Refusals(408, "x", 1, 0),)}, Cause.NETWORK, Sign.CUT_OFF),
        (crm(breaker="open"), Cause.DESTINATION, Sign.BREAKER),
        (crm(paused="answered 410 Gone"), Cause.DESTINATION, Sign.PAUSED),
        (crm(failed=5), Cause.DESTINATION, Sign.FAILING),
        (crm(failed=4), Cause.NOTHING, None),
        (crm(took=late(2.1)), Cause.DESTINATION, Sign.SLOW),
        (crm(dead=1), Cause.DESTINATION, Sign.DEAD),
        (crm(untried_s=31.0), Cause.US, Sign.STARTED_LATE),
        (crm(untried_s=31.0, took=late(9)), Cause.DESTINATION, Sign.SLOW),
        ({"events": 0}, Cause.QUIET, None),
        ({"events": 0, "workers": 0}, Cause.US, Sign.NO_WORKERS),
        ({}, Cause.NOTHING, None),
    ],
)
def test_each_number_beyond_its_limit_is_a_finding_with_its_cause(
    changes: dict[str, object], cause: Cause, sign: Sign | None
) -> None:
    found = diagnose(msgspec.structs.replace(WELL, **changes))
    assert found.cause is cause
    assert [one.sign for one in found.findings] == ([] if sign is None else [sign])


def test_what_is_lost_counts_more_than_what_is_late_and_the_worst_stands_first() -> None:
    both = msgspec.structs.replace(WELL, sending=late(500), taking=late(20), **crm(breaker="open"))
    found = diagnose(both)
    assert found.cause is Cause.DESTINATION
    assert [one.sign for one in found.findings] == [
        Sign.BREAKER,
        Sign.SENT_LATE,
        Sign.TAKEN_OVER_LATE,
    ]


def test_nothing_known_is_nothing_wrong() -> None:
    assert diagnose(Numbers(window_s=1)) == d.Diagnosis(Cause.QUIET, ())


durations = st.floats(-1e6, 1e6, allow_nan=False)
measures = st.none() | st.lists(durations, min_size=1, max_size=20).map(measure)
receivers = st.builds(
    Receiver,
    destination=st.just("crm"),
    attempts=st.integers(0, 50),
    failed=st.integers(0, 50),
    took=measures,
    dead=st.integers(0, 3),
    untried_s=st.floats(0, 100),
    breaker=st.sampled_from(["", "open"]),
    paused=st.sampled_from(["", "why"]),
)
known = st.builds(
    Numbers,
    window_s=st.just(900.0),
    events=st.integers(0, 5),
    sending=measures,
    way=measures,
    answer_p99_s=st.none() | st.floats(0, 10),
    taking=measures,
    log_lag=st.none() | st.integers(0, 30_000),
    workers=st.none() | st.integers(0, 2),
    refusals=st.lists(
        st.builds(
            Refusals,
            status=st.sampled_from([400, 401, 408, 413, 421, 429, 503]),
            reason=st.just("why"),
            count=st.integers(1, 9),
            last_at_ms=st.just(1),
        ),
        max_size=3,
    ).map(tuple),
    receivers=st.lists(receivers, max_size=3).map(tuple),
)


@given(known)
def test_the_verdict_is_that_of_the_worst_finding_and_no_finding_is_within_its_limit(
    numbers: Numbers,
) -> None:
    found = diagnose(numbers)
    assert all(one.value > one.limit for one in found.findings)
    lost = [one.lost for one in found.findings]
    assert lost == sorted(lost, reverse=True)
    blamed = [one.cause for one in found.findings if one.sign is not Sign.CLOCKS]
    assert found.cause is (
        blamed[0] if blamed else Cause.NOTHING if numbers.events else Cause.QUIET
    )
    assert Cause.DESTINATION not in blamed or numbers.receivers


@given(st.lists(durations, min_size=1, max_size=100))
def test_a_measure_stands_within_what_was_measured_and_rises(values: list[float]) -> None:
    found = measure(values)
    assert found is not None
    assert min(values) == found.least_s <= found.p50_s <= found.p95_s <= found.most_s == max(values)
    assert found.count == len(values)
