"""The spool before a real server that is killed and frozen under load: a Redis."""

import asyncio
from pathlib import Path

import pytest
from tests.faults.spooling import Appenders, assert_in_order
from tests.support.servers.redis import RedisProcess

from comporta.log.port import Log
from comporta.log.redis import RedisLog
from comporta.log.spool import SpooledLog
from comporta.log.spool_file import SpoolFile
from comporta.testing.conformance.appender import PARTITIONS

AFTER_S = 0.5
BODY_BYTES_MAX = 1 << 20


def make(place: str) -> Log:
    folder, url = place.split("|")
    file = SpoolFile(Path(folder), PARTITIONS, bytes_max=1 << 30)
    broker = RedisLog(url, PARTITIONS, body_bytes_max=BODY_BYTES_MAX)
    return SpooledLog(broker, file, after_s=AFTER_S, drains=True)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_acknowledgements_go_on_and_nothing_is_lost_or_out_of_order(
    tmp_path: Path, fault: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with RedisProcess(tmp_path / "redis") as redis:
        appenders = Appenders(f"{__name__}:make", f"{data}|{redis.url}")
        with appenders.one(), appenders.one() as victim:
            appenders.go_on(500)
            for _outage in range(3):
                redis.kill() if fault == "killed" else redis.freeze()
                appenders.go_on(1_000)
                redis.restart() if fault == "killed" else redis.thaw()
                appenders.go_on(500)
            victim.kill()
            appenders.go_on(500)
        bodies = asyncio.run(appenders.at_the_broker())
    assert not set(appenders.acknowledged) - set(bodies)
    assert_in_order(bodies)
