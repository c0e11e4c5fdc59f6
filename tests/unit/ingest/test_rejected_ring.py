"""Refused requests on their way to the ring, with a real state behind it."""

import asyncio
from pathlib import Path
from typing import cast

import apsw
import pytest

from comporta.ingest import rejected
from comporta.ingest.rejected import (
    HEADERS_MAX,
    VALUE_CHARS_MAX,
    WAITING_MAX,
    RejectedRing,
    masked,
    masked_path,
)
from comporta.state.port import Rejected, State
from comporta.state.sqlite import SqliteState


def row(number: int = 0) -> Rejected:
    path = masked_path(f"/webhook/\ud7ff\x00{number}")
    headers = masked([(b"x-\xff\x00", b"\xff\x00" * 500), (b"authorization", b"Bearer hush")])
    return Rejected(number, 404, "?", "POST", path, "", "", headers, 2**63 - 1)


def test_what_a_stranger_sends_can_be_kept_whatever_bytes_it_is_made_of(tmp_path: Path) -> None:
    async def run() -> list[Rejected]:
        state = SqliteState(tmp_path / "state.db")
        await state.open()
        ring = RejectedRing(state, 10)
        ring.add(row())
        await ring.flush()
        kept = await state.rejected(10)
        await state.close()
        return kept

    (kept,) = asyncio.run(run())
    assert kept.path == "/webhook/***"
    assert dict(kept.headers)["authorization"] == "***"
    assert dict(kept.headers)["x-\xff\x00"].startswith("\xff\x00")


def test_a_state_written_by_a_newer_version_ended_the_worker(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    async def run() -> int:
        state = SqliteState(path)
        await state.open()
        path.rename(tmp_path / "aside.db")
        with apsw.Connection(str(path)) as newer:
            newer.execute("PRAGMA user_version = 999")
        ring = RejectedRing(state, 10)
        ring.add(row())
        await ring.flush()
        path.unlink()
        ring.add(row())
        await ring.flush()
        kept = await state.rejected(10)
        await state.close()
        return len(kept)

    assert asyncio.run(run()) == 1


def test_what_comes_faster_than_it_is_kept_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejected, "PERIOD_S", 3600)

    async def run() -> list[Rejected]:
        state = SqliteState(tmp_path / "state.db")
        await state.open()
        ring = RejectedRing(state, 1000)
        for number in range(WAITING_MAX + 50):
            ring.add(row(number))
        task = asyncio.ensure_future(ring.run())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        kept = await state.rejected(1000)
        await state.close()
        return kept

    kept = asyncio.run(run())
    assert [one.at_ms for one in kept] == list(range(WAITING_MAX + 49, 49, -1))


def test_a_ring_that_is_switched_off_keeps_nothing() -> None:
    ring = RejectedRing(cast("State", None), 0)
    ring.add(row())
    asyncio.run(ring.flush())  # asks nobody


def test_what_is_kept_of_a_request_is_bounded() -> None:
    kept = masked([(b"n" * 1000, b"v" * 1000)] * 1000)
    assert len(kept) == HEADERS_MAX
    assert {len(part) for pair in kept for part in pair} == {VALUE_CHARS_MAX}


@pytest.mark.parametrize(
    "name", [b"authorization", b"proxy-authorization", b"cookie", b"x-api-key", b"api_access_token"]
)
def test_headers_that_carry_secrets_are_masked(name: bytes) -> None:
    assert masked([(name, b"hush")]) == ((name.decode(), "***"),)


@pytest.mark.parametrize("path", ["/webhook/hush", "/webhook/hush/", "//webhook/hush/more"])
def test_a_token_in_the_path_is_masked(path: str) -> None:
    assert "hush" not in masked_path(path)
    assert masked_path(path) == "/webhook/***"
