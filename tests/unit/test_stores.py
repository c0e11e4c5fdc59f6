"""The stores of one gateway together: what is made, what is closed when one fails, who is told."""

import asyncio
import stat
import threading
from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from comporta.errors import ConfigError, SchemaTooNewError
from comporta.settings import Settings
from comporta.stores import open_stores
from comporta.telemetry.tally import Tally
from comporta.testing.conformance.records import record


def use(settings: Settings, tally: Tally | None = None) -> None:
    async def run() -> None:
        async with open_stores(settings, tally) as stores:
            await stores.log.append(record())
            assert await stores.log.lag() == 1

    asyncio.run(run())


def writers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "writer" in thread.name]


def test_they_are_made_where_nobody_else_can_look_and_leave_no_thread(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "a" / "data")
    use(settings)
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o700
    assert writers() == []


def test_what_the_log_commits_is_counted(tmp_path: Path) -> None:
    tally = Tally()
    use(Settings(data=tmp_path), tally)
    ((_, commits),) = tally.log_commits.cells()
    ((_, entries),) = tally.log_commit_entries.cells()
    assert commits.value >= 1
    assert entries.total == 1


def test_a_folder_that_cannot_be_made_is_said_with_the_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="COMPORTA_DATA"):
        use(Settings(data=tmp_path / "file" / "data"))


def test_when_one_cannot_be_opened_the_others_are_closed(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    use(settings)
    path = Path(settings.state_url.partition(":")[2])
    with apsw.Connection(str(path)) as newer:
        newer.execute("PRAGMA user_version = 999")
    newer.close()
    with pytest.raises(SchemaTooNewError):
        use(settings)
    assert writers() == []
    assert not [thread for thread in threading.enumerate() if "ledger" in thread.name]


def test_a_failure_of_who_uses_them_closes_them(tmp_path: Path) -> None:
    async def fail() -> None:
        async with open_stores(Settings(data=tmp_path)):
            assert writers()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail())
    assert writers() == []


class Receipt:
    """Notes what it is told; a broken one raises instead."""

    def __init__(self, told: list[int], number: int, *, broken: bool) -> None:
        self._told, self._number, self._broken = told, number, broken

    def done(self) -> bool:
        return False

    def set_result(self, _result: object) -> None:
        if self._broken:
            raise ZeroDivisionError
        self._told.append(self._number)

    def set_exception(self, _error: BaseException) -> None:
        self._told.append(-self._number)


def test_a_receipt_that_raised_kept_the_rest_of_its_group_waiting_for_ever(tmp_path: Path) -> None:
    told: list[int] = []

    async def run() -> None:
        async with open_stores(Settings(data=tmp_path)) as stores:
            for number in range(20):
                stores.log.hand_over(record(), Receipt(told, number, broken=number % 5 == 0))
            async with asyncio.timeout(5):
                await stores.log.append(record())  # those after are told as well
            assert stores.log.pending_bytes == 0
            assert await stores.log.lag() == 21

    with capture_logs() as logs:
        asyncio.run(run())
    assert told == [number for number in range(20) if number % 5]
    assert [one["event"] for one in logs] == ["receipt.failed"] * 4
