"""A log with a spool before its server keeps the promises of every log."""

from pathlib import Path

import pytest
from tests.support.fallible import FallibleLog

from comporta.log.port import Log
from comporta.log.spool.file import SpoolFile
from comporta.log.spool.log import SpooledLog
from comporta.testing.conformance.appender import PARTITIONS
from comporta.testing.conformance.log import LogSuite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def make(place: str) -> Log:
    folder = Path(place)
    file = SpoolFile(folder, PARTITIONS, bytes_max=1 << 30)
    return SpooledLog(FallibleLog(folder, PARTITIONS), file, after_s=10.0, drains=True)


class TestSpooledLog(LogSuite):
    """The suite, on an embedded log in the broker's place."""

    maker = f"{__name__}:make"

    def place(self, folder: Path) -> str:
        return str(folder)

    def break_it(self, folder: Path) -> None:
        folder.rename(folder.with_name("away"))

    def mend_it(self, folder: Path) -> None:
        folder.with_name("away").rename(folder)
