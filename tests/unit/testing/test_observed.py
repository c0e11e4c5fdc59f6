"""The sink's judgement: an oracle that errs would make every test that trusts it worthless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.testing import observed
from comporta.testing.observed import Arrival, Marker, Observed, SinkReport


def arrival(  # noqa: PLR0913
    seq: int,
    *,
    status: int = 200,
    subject: str = "conversation:1",
    webhook_id: str = "",
    path: str = "/",
    at_ms: int = 0,
) -> Arrival:
    return Arrival(
        path=path,
        webhook_id=webhook_id,
        instance="loja-sp",
        event_type="message_created",
        account_id=1,
        subject=subject,
        marker=Marker("run", seq, at_ms),
        digest=b"",
        arrived_at_ms=at_ms + 40,
        status=status,
    )


def judged(*arrivals: Arrival) -> SinkReport:
    judge = Observed()
    for each in arrivals:
        judge.add(each)
    return judge.report()


@given(
    st.lists(
        st.tuples(st.sampled_from(["conversation:1", "conversation:2"]), st.integers(1, 30)),
        max_size=80,
    )
)
def test_repeats_disorder_and_gaps_are_told_exactly(sequence: list[tuple[str, int]]) -> None:
    seen: dict[str, set[int]] = {}
    duplicates = disorder = 0
    for subject, seq in sequence:
        before = seen.setdefault(subject, set())
        if seq in before:
            duplicates += 1
        elif before and seq < max(before):
            disorder += 1
        before.add(seq)
    report = judged(*(arrival(seq, subject=subject) for subject, seq in sequence))
    assert report.duplicates == report.duplicates_by_marker == duplicates
    assert report.disorder == disorder
    assert report.missing == sum(max(s) - len(s) for s in seen.values())
    assert report.unique == sum(map(len, seen.values()))


def test_a_repeat_is_no_disorder() -> None:
    report = judged(arrival(1), arrival(2), arrival(1))
    assert (report.duplicates, report.disorder) == (1, 0)


def test_a_delivery_that_was_refused_may_come_again() -> None:
    report = judged(arrival(1, status=503), arrival(1, status=0), arrival(1))
    assert (report.refused, report.unanswered, report.accepted) == (1, 1, 1)
    assert (report.duplicates, report.disorder) == (0, 0)


def test_a_repeat_is_found_by_its_id_where_there_is_no_marker() -> None:
    unmarked = [
        Arrival("/", name, "", "", None, "", Marker(), b"", 0, 200) for name in ("a", "b", "a")
    ]
    report = judged(*unmarked)
    assert (report.duplicates, report.duplicates_by_id, report.duplicates_by_marker) == (1, 1, 0)
    assert report.unmarked == 3


def test_one_event_at_two_paths_is_no_repeat() -> None:
    report = judged(arrival(1, webhook_id="a", path="/crm"), arrival(1, webhook_id="a", path="/bi"))
    assert report.duplicates == 0


def test_the_lag_is_that_of_first_arrivals() -> None:
    report = judged(arrival(1, at_ms=5_000), arrival(1, at_ms=-90_000))
    assert report.lag_max_ms == 40


def test_memory_is_bounded_and_what_is_forgotten_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observed, "SUBJECTS_MAX", 3)
    monkeypatch.setattr(observed, "IDS_MAX", 3)
    judge = Observed()
    for number in range(10):
        judge.add(arrival(1, subject=f"conversation:{number}", webhook_id=str(number)))
    assert judge.report().subjects_forgotten == 7
    assert len(judge._subjects) == len(judge._ids) == 3
    assert judge.newest.maxlen == observed.RING_MAX


def test_the_longest_silent_conversation_is_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observed, "SUBJECTS_MAX", 2)
    report = judged(
        arrival(1, subject="conversation:1"),
        arrival(1, subject="conversation:2"),
        arrival(2, subject="conversation:1"),
        arrival(1, subject="conversation:3"),
        arrival(3, subject="conversation:1"),
    )
    assert (report.subjects_forgotten, report.missing) == (1, 0)


def test_a_huge_number_cannot_fill_the_memory() -> None:
    judge = Observed()
    judge.add(arrival(10**12))
    judge.add(arrival(10**13))
    (progress,) = judge._subjects.values()
    assert len(progress.gaps) == observed.GAPS_MAX
