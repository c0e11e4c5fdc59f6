"""What was stored without anybody being told is told once, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.deliveries import delivery

from comporta.ledger.port import Recorded
from comporta.ledger.postgres.owed import Owed, Written
from comporta.ledger.recording import Place

fates = st.lists(st.sampled_from(["done", "refused", "lost", "lost but stored"]), max_size=12)


def written(offset: int, token: int = 1) -> Written:
    one = replace(delivery(offset), partition=0)
    return Written({0: token}, [(offset, offset, 0)], Recorded((one,)))


@given(fates)
def test_of_each_batch_that_is_stored_dispatch_is_told_once_in_order(fates: list[str]) -> None:
    """Whatever becomes of commits: a batch is asked for until it is known to be stored."""
    owed, stored, told = Owed(), 0, []
    for fate in [*fates, "done"]:
        batch = written(stored + 1)
        if fate == "refused":  # before anything was looked at
            continue
        owed.look({0: 1}, {0: Place(1, stored, stored)})
        if fate != "lost":
            stored += 1
        if fate == "done":
            told += [one.id for one in owed.told({0: 1}, batch.recorded).deliveries]
        else:
            owed.note(batch)
    assert told == list(range(1, stored + 1))


def test_what_another_owner_has_by_now_is_not_told() -> None:
    owed = Owed()
    owed.note(written(1))
    owed.look({0: 1}, {})
    assert owed.told({0: 1}, Recorded(())).deliveries == ()
    owed.note(written(1))
    owed.look({0: 2}, {0: Place(2, 1, 1)})  # the same process, which claimed it anew
    assert owed.told({0: 2}, Recorded(())).deliveries == ()


def test_what_is_owed_of_other_partitions_waits() -> None:
    owed = Owed()
    owed.note(written(1))
    owed.look({3: 1}, {3: Place(1, 0, 0)})
    assert owed.told({3: 1}, Recorded(())).deliveries == ()
    owed.look({0: 1}, {0: Place(1, 1, 1)})
    assert len(owed.told({0: 1}, Recorded(())).deliveries) == 1
