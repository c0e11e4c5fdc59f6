"""Watching the fleet: what is said while it cannot be read."""

import asyncio
from typing import cast

import pytest

from comporta.domain.fleet import Fleet
from comporta.errors import StoreUnavailableError
from comporta.fleet import watch
from comporta.ledger.port import Ledger


class Moody:
    """A ledger that answers, or not, as its list says, and then ends the test."""

    def __init__(self, answers: list[bool]) -> None:
        self._answers = iter(answers)

    async def fleet_changed(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)

    async def fleet_version(self) -> int:
        try:
            if next(self._answers):
                return 0
        except StopIteration:
            raise KeyboardInterrupt from None
        raise StoreUnavailableError("It is away.")


class Lines:
    """Stands where the logger stands, and keeps the names of what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def error(self, event: str, **_fields: object) -> None:
        self.said.append(event)

    info = error


def test_a_ledger_that_was_away_filled_the_log_four_times_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = Lines()
    monkeypatch.setattr(watch, "_log", lines)
    monkeypatch.setattr(watch, "POLL_S", 0)
    ledger = cast("Ledger", Moody([True, False, False, False, True, True, False, False, True]))

    def changed(_fleet: Fleet) -> None:
        raise AssertionError("nothing has changed")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(watch.FleetWatch(ledger, changed).run())
    assert lines.said == ["fleet.not_read", "fleet.read_again"] * 2
