"""What every ledger must do for the admin API: bounded keys, and answers kept for a day."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace

from comporta.errors import ConflictError, LimitError
from comporta.ledger.admin import (
    ANSWER_KEPT_MS,
    ANSWERS_MAX,
    UNFINISHED_MS,
    AdminLedger,
    ApiKey,
    Scope,
)

NOW_MS = 1_795_500_000_000


def key(number: int) -> ApiKey:
    digest = f"{number:064x}"
    return ApiKey(f"key_{number:04}", f"n{number}", Scope.READ, digest, "cmp_x", NOW_MS, "me")


class AdminSuite:
    """Subclass it, and say how the ledger is opened."""

    def opened(self, folder: Path) -> AbstractAsyncContextManager[AdminLedger]:
        raise NotImplementedError

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def admin(self, tmp_path: Path) -> AsyncIterator[AdminLedger]:
        async with self.opened(tmp_path) as admin:
            yield admin

    @pytest.mark.anyio
    async def test_keys_are_kept_as_they_were_given_oldest_first(self, admin: AdminLedger) -> None:
        for number in (2, 1):
            one = replace(key(number), created_at_ms=NOW_MS + number)
            await admin.add_api_key(one, 10, 10)
        assert [one.name for one in await admin.api_keys()] == ["n1", "n2"]
        await admin.touch_api_key("key_0001", NOW_MS + 9)
        first = (await admin.api_keys())[0]
        assert first == replace(key(1), created_at_ms=NOW_MS + 1, last_used_at_ms=NOW_MS + 9)

    @pytest.mark.anyio
    async def test_of_live_keys_there_are_so_many_and_one_a_name(self, admin: AdminLedger) -> None:
        for number in range(3):
            await admin.add_api_key(key(number), 3, 10)
        with pytest.raises(LimitError):
            await admin.add_api_key(key(3), 3, 10)
        assert await admin.revoke_api_key("key_0000", NOW_MS)
        assert not await admin.revoke_api_key("key_0000", NOW_MS)
        assert not await admin.revoke_api_key("key_9999", NOW_MS)
        with pytest.raises(ConflictError):
            await admin.add_api_key(replace(key(4), name="n1"), 3, 10)
        await admin.add_api_key(replace(key(5), name="n0"), 3, 10)

    @pytest.mark.anyio
    async def test_of_revoked_keys_the_newest_are_kept(self, admin: AdminLedger) -> None:
        for number in range(4):
            await admin.add_api_key(key(number), 10, 2)
            await admin.revoke_api_key(f"key_{number:04}", NOW_MS + number)
        await admin.add_api_key(key(9), 10, 2)
        assert {one.name for one in await admin.api_keys()} == {"n2", "n3", "n9"}

    @pytest.mark.anyio
    async def test_of_those_who_begin_at_once_one_is_first(self, admin: AdminLedger) -> None:
        begun = await asyncio.gather(*(admin.begin("c", "k", "d", NOW_MS) for _time in range(8)))
        assert sum(one.fresh for one in begun) == 1
        assert {one.digest for one in begun} == {"d"}

    @pytest.mark.anyio
    async def test_an_answer_is_given_again_for_a_day_and_to_its_caller_only(
        self, admin: AdminLedger
    ) -> None:
        await admin.begin("c", "k", "d", NOW_MS)
        await admin.finish("c", "k", "sealed")
        last = await admin.begin("c", "k", "other", NOW_MS + ANSWER_KEPT_MS)
        assert (last.fresh, last.digest, last.answer) == (False, "d", "sealed")
        assert (await admin.begin("another", "k", "d", NOW_MS)).fresh
        assert (await admin.begin("c", "k", "other", NOW_MS + ANSWER_KEPT_MS + 1)).fresh

    @pytest.mark.anyio
    async def test_what_changed_nothing_is_forgotten(self, admin: AdminLedger) -> None:
        await admin.begin("c", "k", "d", NOW_MS)
        await admin.finish("c", "k", "")
        assert (await admin.begin("c", "k", "other", NOW_MS)).fresh

    @pytest.mark.anyio
    async def test_what_was_never_finished_begins_anew_after_a_while(
        self, admin: AdminLedger
    ) -> None:
        await admin.begin("c", "k", "d", NOW_MS)
        assert not (await admin.begin("c", "k", "d", NOW_MS + UNFINISHED_MS)).fresh
        assert (await admin.begin("c", "k", "d", NOW_MS + UNFINISHED_MS + 1)).fresh

    @pytest.mark.anyio
    async def test_no_more_answers_are_kept_than_the_bound(self, admin: AdminLedger) -> None:
        numbers = range(ANSWERS_MAX)
        for start in range(0, ANSWERS_MAX, 500):
            part = numbers[start : start + 500]
            await asyncio.gather(*(admin.begin("c", str(n), "d", NOW_MS + n) for n in part))
        assert not (await admin.begin("c", "0", "d", NOW_MS)).fresh
        await admin.begin("c", "one more", "d", NOW_MS + ANSWERS_MAX)
        assert not (await admin.begin("c", "1", "d", NOW_MS)).fresh
        assert (await admin.begin("c", "0", "d", NOW_MS)).fresh
