"""A plan in a file: what is written can be read, and nothing else is overwritten."""

import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from comporta.deploy.plan import Plan
from comporta.deploy.plan_file import read_plan, write_plan
from comporta.errors import ConfigError

PLAN = Plan(
    phase=3,
    instances=30,
    servers=2,
    workers=4,
    log="redis",
    ledger="postgresql",
    state="redis",
    partitions=16,
    keep_bodies_days=7,
    memory_gib=8.0,
)


def test_a_plan_takes_the_place_of_an_earlier_one_and_others_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    write_plan(file, PLAN)
    newer = replace(PLAN, servers=3)
    write_plan(file, newer)
    assert read_plan(file) == newer
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("there", [b"", b"[fleet]\n", b'{"phase": 3}', b"\xff\xfe", b"[]"])
def test_something_else_is_never_overwritten(tmp_path: Path, there: bytes) -> None:
    file = tmp_path / "fleet.toml"
    file.write_bytes(there)
    with pytest.raises(ConfigError, match="is not a plan"):
        write_plan(file, PLAN)
    assert file.read_bytes() == there


def test_a_plan_with_values_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    write_plan(file, PLAN)
    file.write_text(file.read_text().replace('"redis"', '"mongodb"'))
    with pytest.raises(ConfigError, match="mongodb"):
        read_plan(file)


def test_where_nothing_can_be_read_or_written_it_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="comporta plan --save"):
        read_plan(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="Choose another file"):
        write_plan(tmp_path / "nowhere" / "plan.json", PLAN)
