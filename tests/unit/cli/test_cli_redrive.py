"""`redrive` and `replay`: counted, asked, done in steps."""

from typing import Any

import pytest

from comporta.domain import ids
from comporta.domain.delivery import DeliveryState
from comporta.ledger.port import Step

DLV = ids.show("dlv", 12_345_678_909_999)
EVT = ids.show("evt", 12_345_678_901_234)


def test_redrive_works_in_steps_of_500_until_all_that_were_counted_are_back(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 1234
    ran = comporta("redrive", "--all", "--yes", "--json")
    assert ran.data == {"matched": 1234, "redriven": 1234}
    assert [which.limit for which in stores.ledger.steps] == [500, 500, 234]
    assert [which.after_id for which in stores.ledger.steps] == [None, 500, 1000]
    assert {which.state for which in stores.ledger.steps} == {DeliveryState.DEAD}


def test_redrive_ends_at_its_count_although_letters_keep_dying_meanwhile(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(which: Any, now_ms: int) -> Step:
        assert now_ms
        return Step(which.limit, 1)

    stores.ledger.dead = 600
    monkeypatch.setattr(stores.ledger, "redrive", endless)
    assert comporta("redrive", "--all", "--yes", "--json").data["redriven"] == 600


def test_redrive_stops_when_somebody_else_was_faster(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(which: Any, now_ms: int) -> Step:
        assert which
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


@pytest.mark.parametrize("name", ["redrive", "replay"])
def test_everything_is_never_chosen_by_accident(comporta: Any, stores: Any, name: str) -> None:
    stores.ledger.dead = 5
    assert comporta(name, "--yes").code == 2
    assert comporta(name, DLV, "--destination", "crm", "--yes").code == 2
    assert stores.ledger.steps == []


def test_redrive_by_id_asks_for_each_id_once(comporta: Any, stores: Any) -> None:
    stores.ledger.dead = 1
    comporta("redrive", DLV, DLV, "--yes")
    assert [which.delivery_id for which in stores.ledger.steps] == [12_345_678_909_999]


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
    assert (which.state, which.event_id) == (None, 12_345_678_901_234)
    assert "dst_1" in stores.ledger.asked
    assert ran.data == {"matched": 2, "replayed": 2}


def test_replay_of_what_has_something_in_common_takes_delivered_ones_only(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.dead = 3
    comporta("replay", "--destination", "crm", "--yes")
    assert [which.state for which in stores.ledger.steps] == [DeliveryState.DELIVERED]


def test_replay_goes_on_where_the_last_step_ended(comporta: Any, stores: Any) -> None:
    stores.ledger.dead = 1001
    assert comporta("replay", "--all", "--yes", "--json").data["replayed"] == 1001
    assert [which.after_id for which in stores.ledger.steps] == [None, 500, 1000]


def test_replay_to_an_unknown_destination_is_not_found(comporta: Any) -> None:
    assert comporta("replay", "--all", "--to", "cmr").code == 3
