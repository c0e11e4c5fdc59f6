import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.bench import e2e, several, site
from tests.bench.servers import ROOT, TOKEN, free_port, process, uvicorn
from tests.bench.several_figures import SeveralRow, several_aims, several_row

from comporta.testing.simulation import Tally

ROW = SeveralRow(2, 300.0, 900, 0, 900, 0, 0, 0, 300.0, 299.0, 2.0, 9.0, 0.25, {})


@pytest.mark.parametrize("fault", ["lost", "duplicates", "disorder", "refused"])
def test_one_event_lost_repeated_disordered_or_refused_misses_the_aim(fault: str) -> None:
    assert all(aim.met for aim in several_aims([ROW]))
    assert not several_aims([msgspec.structs.replace(ROW, **{fault: 1})])[0].met


def test_a_server_that_takes_in_less_than_half_its_share_misses_the_aim() -> None:
    assert not several_aims([msgspec.structs.replace(ROW, smallest_share=0.24)])[1].met
    alone = msgspec.structs.replace(ROW, servers=1, smallest_share=1.0)
    assert len(several_aims([alone])) == 1


def test_an_event_more_than_was_acknowledged_does_not_hide_one_that_is_missing() -> None:
    """What was taken in without an answer in time arrives too: so it is a fault by itself."""
    tally = Tally()
    tally.add("message_created", 200, 0.01)
    tally.add("message_created", -1, 5.0)
    nothing = dict.fromkeys(("unique", "duplicates", "disorder"), 0)
    row = several_row(0.0, tally.summary(1.0), nothing, nothing | {"unique": 1})
    assert (row.lost, row.refused) == (0, 1)
    assert not several_aims([row])[0].met


def test_a_quick_bench_of_two_servers_shows_no_fault_and_both_at_work() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--json", "--servers", "2"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (row,) = found["servers"]
    assert row["accepted"] > 50
    assert set(row["cpu_us"]) == {"comporta", "nginx", "redis", "postgresql"}
    assert all(aim["met"] for aim in found["aims"]), found["aims"]


def test_a_server_that_answers_and_stores_nothing_is_found_out(tmp_path: Path) -> None:
    port = free_port()
    sink = [sys.executable, "-m", "tests.bench.sink", str(port)]
    fleet = e2e.fleet(port, several.CHATWOOTS)
    with (
        site.shared(tmp_path) as programs,
        process(sink, port, tmp_path / "sink.log"),
        site.site(1, fleet, tmp_path, programs) as honest,
        uvicorn("liar", "tests.bench.apps:empty", tmp_path) as liar,
    ):
        alike = liar._replace(url=liar.url.partition("/webhook")[0])
        urls = [honest.servers[0].url, alike.url]
        with site.balancer(urls, tmp_path) as nginx:
            both = honest._replace(
                url=f"{nginx.url}/webhook/{TOKEN}", servers=(*honest.servers, alike)
            )
            row = several.one(both, port, 200.0, 0.5, within_s=1.0)
    assert row.lost > row.accepted / 3
    assert [aim.met for aim in several_aims([row])] == [False, False]
