"""Before `comporta bench` begins, and where it cannot go on. Real measuring: tests/integration."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comporta.cli import bench, bench_run
from comporta.cli.bench_bodies import mean_body_bytes
from comporta.cli.machine import this_machine
from comporta.cli.process_tree import usage_of

Comporta = Callable[..., Any]


def test_a_disk_without_room_is_not_filled(
    comporta: Comporta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench, "FREE_BYTES_MIN", 2**62)
    ran = comporta("bench")
    assert ran.code == 1
    assert str(tmp_path) in ran.err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(
    comporta: Comporta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "FREE_BYTES_MIN", 0)
    monkeypatch.setenv("COMPORTA_DATA", "/proc/nothing-here")
    ran = comporta("bench")
    assert ran.code == 1
    assert "/proc" in ran.err
    assert "Run as its owner" in ran.err


def test_a_machine_that_is_too_busy_is_not_measured_for_ever(
    comporta: Comporta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench, "TIMES", bench_run.Times(most_s=0.01))
    ran = comporta("bench")
    assert ran.code == 1
    assert "too busy" in ran.err
    assert not list(tmp_path.iterdir())


def test_everything_is_done_within_a_minute_where_nothing_is_in_the_way() -> None:
    assert all(bench_run.Times().total_s(workers) < 45 for workers in (1, 2, 4, 8))
    assert bench_run.Times().most_s == 60


def test_a_container_is_as_large_as_its_limits(tmp_path: Path) -> None:
    whole = this_machine(tmp_path)
    assert whole.cpus == len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{512 * 1024**2}\n")
    part = this_machine(tmp_path)
    assert (part.cpus, part.memory_gib) == (1, 0.5)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert this_machine(tmp_path) == whole


def test_what_a_process_uses_is_found_and_one_that_is_gone_uses_nothing() -> None:
    here = usage_of(os.getpid())
    assert here.memory_bytes > 1_000_000
    assert here.intake_s > 0
    gone = usage_of(2**22 + 1)
    assert (gone.intake_s, gone.dispatch_s, gone.memory_bytes) == (0, 0, 0)


def test_bodies_are_as_large_as_usual_ones() -> None:
    assert 2000 < mean_body_bytes() < 12_000
