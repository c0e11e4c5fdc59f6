"""What dispatch counts: by the names of the fleet, and never by an id."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.support.deliveries import delivery

from comporta.dispatch.counting import Counting
from comporta.domain.delivery import AttemptResult, DeliveryState, Outcome, Verdict
from comporta.ledger.port import NewEvent, Recorded
from comporta.telemetry.tally import Count, Spread, Tally
from comporta.testing.conformance.records import record

KNOWN = delivery(1).destination_id
ROUTING = cast(
    "Any",
    SimpleNamespace(
        instances={record().instance_id: "loja-sp"},
        outbound={KNOWN: SimpleNamespace(destination=SimpleNamespace(name="crm"))},
    ),
)


def counts(handle: Count) -> dict[tuple[str, ...], float]:
    return {labels: cell.value for labels, cell in handle.cells()}


def number(handle: Spread, *labels: str) -> int:
    return sum(dict(handle.cells())[labels].counts)


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def counting(tally: Tally) -> Counting:
    return Counting(tally, lambda: ROUTING)


def test_attempts_are_counted_by_what_became_of_them(counting: Counting, tally: Tally) -> None:
    again = msgspec.structs.replace(delivery(2), attempts=1)
    unspent = msgspec.structs.replace(delivery(2), tried_at_ms=7)
    for one, state in (
        (delivery(1), DeliveryState.SCHEDULED),
        (unspent, DeliveryState.DELIVERED),
        (again, DeliveryState.DEAD),
    ):
        counting.attempted(Outcome(one, AttemptResult(5, 20.0, 200), Verdict(state)), KNOWN)
    assert counts(tally.deliveries) == {
        ("crm", "scheduled"): 1,
        ("crm", "delivered"): 1,
        ("crm", "dead"): 1,
    }
    assert counts(tally.retries) == {("crm",): 2}
    assert counts(tally.dead_letters) == {("crm",): 1}
    assert number(tally.attempt_seconds, "crm", "scheduled") == 1
    assert number(tally.delivery_lag_seconds, "crm") == 1


def test_what_the_fleet_does_not_know_any_more_is_other(counting: Counting, tally: Tally) -> None:
    failed = Outcome(delivery(1), AttemptResult(0, 1.0), Verdict(DeliveryState.DEAD))
    counting.attempted(failed, "dst_gone")
    counting.recorded([], Recorded((), {"ins_gone": 3}, dead={"dst_gone": 2, KNOWN: 1}))
    assert counts(tally.dead_letters) == {("other",): 3, ("crm",): 1}
    assert counts(tally.events_duplicate) == {("other",): 3}


def test_clocks_are_compared_where_the_signature_was_right(
    counting: Counting, tally: Tally
) -> None:
    def arrived(*, verified: bool = True, stamp: str = "1000") -> None:
        headers = (("x-chatwoot-timestamp", stamp),)
        given = msgspec.structs.replace(
            record(), verified=verified, headers=headers, accepted_at_ms=1_007_500
        )
        counting.recorded([NewEvent(1, given, None, 0, ())], Recorded(()))

    arrived(verified=False)
    for stamp in ("", "x", "٣", "9" * 30):
        arrived(stamp=stamp)
    assert tally.clock_offset.cells() == []
    arrived()
    [(labels, cell)] = tally.clock_offset.cells()
    assert (labels, cell.value, cell.at_s) == (("loja-sp",), 7.5, 1007.5)


def test_what_a_partition_lost_to_another_worker_brought_is_not_measured(
    counting: Counting, tally: Tally
) -> None:
    body = b'{"event":"message_created","created_at":1}'
    given = msgspec.structs.replace(record(), event_type="message_created", body=body)
    event = NewEvent(1, given, None, 0, ())
    counting.recorded([event], Recorded((), fenced=frozenset({given.partition})))
    assert tally.chatwoot_lag.cells() == []
    counting.recorded([event], Recorded(()))
    assert number(tally.chatwoot_lag, "loja-sp") == 1
