"""The copy of the fleet: what intake starts with while the ledger is away."""

import asyncio
import stat
from pathlib import Path
from typing import cast

import pytest

from comporta.domain.fleet import Destination, Fleet
from comporta.errors import StoreUnavailableError
from comporta.fleet.copy import FleetCopy
from comporta.fleet.watch import FleetWatch
from comporta.ledger.port import Ledger

FLEET = Fleet(version=7, destinations=(Destination(id="dst_1", name="crm", url="http://a/"),))


class Shelf:
    """A ledger that has a fleet, or is away."""

    def __init__(self, fleet: Fleet | None) -> None:
        self.found = fleet

    async def fleet(self) -> Fleet:
        if self.found is None:
            raise StoreUnavailableError("It is away.")
        return self.found


def start(shelf: Shelf, copy: FleetCopy | None) -> list[Fleet]:
    """What a start takes."""
    taken: list[Fleet] = []
    asyncio.run(FleetWatch(cast("Ledger", shelf), taken.append, copy).start())
    return taken


def test_a_start_without_the_ledger_takes_what_was_known_last(tmp_path: Path) -> None:
    copy = FleetCopy(tmp_path / "fleet.json")
    assert start(Shelf(FLEET), copy) == [FLEET]
    assert start(Shelf(None), copy) == [FLEET]
    assert start(Shelf(Fleet(version=8)), copy) == [Fleet(version=8)]
    assert start(Shelf(None), copy) == [Fleet(version=8)]
    assert stat.S_IMODE((tmp_path / "fleet.json").stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["fleet.json"]


@pytest.mark.parametrize("text", [None, b"", b"{", b'{"version": "x"}'])
def test_without_a_copy_that_can_be_read_the_ledgers_refusal_stands(
    tmp_path: Path, text: bytes | None
) -> None:
    if text is not None:
        (tmp_path / "fleet.json").write_bytes(text)
    with pytest.raises(StoreUnavailableError, match="away"):
        start(Shelf(None), FleetCopy(tmp_path / "fleet.json"))
    with pytest.raises(StoreUnavailableError, match="away"):
        start(Shelf(None), None)


def test_a_copy_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    assert start(Shelf(FLEET), FleetCopy(tmp_path / "nowhere" / "fleet.json")) == [FLEET]
