"""`redrive`, `replay`, `discard`: counted, asked, done in steps, kept on record; and `audit`."""

from typing import Any

import pytest

from comporta.domain import ids
from comporta.domain.delivery import DeliveryState
from comporta.domain.pace import Speed
from comporta.ledger.port import Step

DLV = ids.show("dlv", 12_345_678_909_999)
EVT = ids.show("evt", 12_345_678_901_234)


def test_redrive_works_in_steps_of_500_until_all_that_were_counted_are_back(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 1234
    ran = comporta("redrive", "--all", "--yes", "--json")
    assert ran.data == {"matched": 1234, "redriven": 1234, "without_body": 0}
    assert [which.limit for which in stores.ledger.steps] == [500, 500, 234]
    assert [which.after_id for which in stores.ledger.steps] == [None, 500, 1000]
    (record,) = stores.ledger.noted
    assert (record.what, record.which) == ("redrive", {})
    assert record.who.startswith("cli:")


def test_redrive_ends_at_its_count_although_letters_keep_dying_meanwhile(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(which: Any, now_ms: int, operation_id: int) -> Step:
        assert now_ms
        assert operation_id
        return Step(which.limit, 1)

    stores.ledger.dead = 600
    monkeypatch.setattr(stores.ledger, "redrive", endless)
    assert comporta("redrive", "--all", "--yes", "--json").data["redriven"] == 600


def test_redrive_stops_when_somebody_else_was_faster(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(which: Any, now_ms: int, operation_id: int) -> Step:
        assert which
        assert operation_id
        assert now_ms
        return Step(0, 0)

    stores.ledger.dead = 600
    monkeypatch.setattr(stores.ledger, "redrive", nothing)
    assert comporta("redrive", "--all", "--yes").out == "0 dead letters put back.\n"


def test_without_a_yes_and_without_a_terminal_nothing_is_changed(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 5
    ran = comporta("redrive", "--all")
    assert ran.code == 4
    assert "--yes" in ran.err
    assert stores.ledger.steps == []


def test_with_nothing_to_do_nobody_is_asked(comporta: Any) -> None:
    assert comporta("redrive", "--all").code == 0


@pytest.mark.parametrize("name", ["redrive", "replay", "discard"])
def test_everything_is_never_chosen_by_accident(comporta: Any, stores: Any, name: str) -> None:
    stores.ledger.dead = 5
    assert comporta(name, "--yes").code == 2
    assert comporta(name, DLV, "--destination", "crm", "--yes").code == 2
    assert stores.ledger.steps == []


def test_redrive_by_id_asks_for_each_id_once(comporta: Any, stores: Any) -> None:
    stores.ledger.dead = 1
    comporta("redrive", DLV, DLV, "--yes")
    assert [which.delivery_ids for which in stores.ledger.steps] == [(12_345_678_909_999,)]


def test_redrive_by_destination_and_instance_uses_their_ids(comporta: Any, stores: Any) -> None:
    stores.ledger.dead = 1
    comporta("redrive", "--destination", "crm", "--instance", "loja-sp", "--yes")
    (which,) = stores.ledger.steps
    assert (which.destination_id, which.instance_id) == ("dst_1", "ins_1")


def test_replay_of_an_event_takes_deliveries_in_any_state_to_another_destination(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 2
    ran = comporta("replay", "--event", EVT, "--to", "crm", "--yes", "--json")
    (which,) = stores.ledger.steps
    assert which.event_id == 12_345_678_901_234
    assert "dst_1" in stores.ledger.asked
    assert ran.data == {"matched": 2, "replayed": 2, "without_body": 0}
    assert stores.ledger.noted[0].which["to"] == "dst_1"


def test_replay_goes_on_where_the_last_step_ended(comporta: Any, stores: Any) -> None:
    stores.ledger.dead = 1001
    assert comporta("replay", "--all", "--yes", "--json").data["replayed"] == 1001
    assert [which.after_id for which in stores.ledger.steps] == [None, 500, 1000]


def test_replay_to_an_unknown_destination_is_not_found(comporta: Any) -> None:
    assert comporta("replay", "--all", "--to", "cmr").code == 3


@pytest.mark.parametrize(
    ("said", "meant"),
    [("50/s", Speed(per_s=50)), ("20x", Speed(factor=20)), ("1X", Speed(factor=1))],
)
def test_all_steps_of_a_replay_share_its_beginning(
    comporta: Any, stores: Any, said: str, meant: Speed
) -> None:
    stores.ledger.dead = 1001
    comporta("replay", "--all", "--speed", said, "--yes")
    assert [pace.speed for pace in stores.ledger.paces] == [meant] * 3
    assert [pace.position for pace in stores.ledger.paces] == [0, 500, 1000]
    assert len({pace.start_at_ms for pace in stores.ledger.paces}) == 1


@pytest.mark.parametrize("said", ["fast", "0x", "0/s", "-1x", "nanx"])
def test_a_speed_that_is_none_is_refused_before_anything_is_done(
    comporta: Any, stores: Any, said: str
) -> None:
    stores.ledger.dead = 5
    assert comporta("replay", "--all", "--speed", said, "--yes").code == 2
    assert stores.ledger.noted == []


def test_a_replay_that_would_take_longer_than_thirty_days_is_refused(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 5
    stores.ledger.span_ms = 31 * 86_400_000
    ran = comporta("replay", "--all", "--speed", "1x", "--yes")
    assert (ran.code, "31 days" in ran.err) == (2, True)
    assert comporta("replay", "--all", "--speed", "2x", "--yes").code == 0


def test_what_has_no_body_any_more_is_told_and_left(comporta: Any, stores: Any) -> None:
    stores.ledger.dead, stores.ledger.bodiless = 28, 12
    ran = comporta("redrive", "--all", "--yes")
    assert "12 of 40 have no body any more" in ran.err
    assert ran.out == "28 dead letters put back.\n"


def test_discard_keeps_the_reason_or_says_who_it_was(comporta: Any, stores: Any) -> None:
    stores.ledger.dead = 1
    ran = comporta("discard", "--all", "--reason", "old crm is gone", "--yes", "--json")
    assert ran.data == {"matched": 1, "discarded": 1, "without_body": 0}
    assert stores.ledger.asked[-1] == "old crm is gone"
    stores.ledger.dead = 1
    comporta("discard", "--state", "dead", "--failed-with", "HTTP 410", "--yes")
    assert stores.ledger.asked[-1].startswith("discarded by cli:")
    assert stores.ledger.noted[-1].which["reason"] == "HTTP 410"


def test_a_discard_takes_nothing_that_was_delivered(comporta: Any) -> None:
    assert comporta("discard", "--state", "delivered", "--yes").code == 2


def test_all_that_can_be_chosen_by_reaches_the_ledger(comporta: Any, stores: Any) -> None:
    stores.ledger.dead = 1
    chosen = ("--type", "message_created", "--route", "tudo", "--since", "2h", "--until", "1h")
    assert comporta("discard", *chosen, "--state", "pending", "--yes").code == 0
    (which,) = stores.ledger.steps
    assert (which.event_type, which.route_id) == ("message_created", "rte_1")
    assert which.state is DeliveryState.PENDING
    assert 3_599_000 < which.until_ms - which.since_ms < 3_601_000


def test_audit_tells_operations_and_fleet_changes_in_one_list_newest_first(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 1
    comporta("replay", DLV, "--to", "crm", "--speed", "20x", "--yes")
    done, change = comporta("audit", "--json").data
    assert (done["what"], change["what"]) == ("replay", "fleet")
    assert done["which"] == {"deliveries": [DLV], "to": "crm", "speed": "20x"}
    assert change["who"] == "cli:ana"
    assert change["which"] == {"version": 3, "change": "added crm"}
    assert len(comporta("audit", "--limit", "1", "--json").data) == 1
    assert "deliveries=" in comporta("audit").out
