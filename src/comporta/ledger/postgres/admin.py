"""The admin API's part of the ledger in PostgreSQL, for servers that do the same at once."""

from collections.abc import Sequence
from typing import Any

from comporta.clients.postgresql import Connection, Pool
from comporta.errors import ConflictError, LimitError, StoreUnavailableError
from comporta.i18n import _
from comporta.ledger.admin import (
    ANSWER_KEPT_MS,
    ANSWERS_MAX,
    UNFINISHED_MS,
    ApiKey,
    Begun,
    Scope,
)
from comporta.ledger.sql import blocks

SQL = blocks("postgres_admin")
_LOOKS = 3
"""At a request that is begun and forgotten by others in turn."""


class PostgresAdmin:
    """The `AdminLedger` port.

    Args:
        pool: for short questions.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def api_keys(self) -> list[ApiKey]:
        """See the port."""
        return [_key(row) for row in await self._pool.run(_fetch, "api_keys")]

    async def add_api_key(self, key: ApiKey, live_max: int, revoked_max: int) -> None:
        """See the port."""
        await self._pool.run(_add, key, live_max, revoked_max)

    async def revoke_api_key(self, key_id: str, now_ms: int) -> bool:
        """See the port."""
        return bool(await self._pool.run(_fetch, "revoke_api_key", now_ms, key_id))

    async def touch_api_key(self, key_id: str, now_ms: int) -> None:
        """See the port."""
        await self._pool.run(_fetch, "touch_api_key", now_ms, key_id)

    async def begin(self, caller: str, key: str, digest: str, now_ms: int) -> Begun:
        """See the port."""
        return await self._pool.run(_begin, caller, key, digest, now_ms)

    async def finish(self, caller: str, key: str, answer: str) -> None:
        """See the port."""
        if answer:
            await self._pool.run(_fetch, "keep_answer", answer, caller, key)
        else:
            await self._pool.run(_fetch, "forget_request", caller, key)


async def _fetch(connection: Connection, name: str, *values: object) -> list[Sequence[Any]]:
    return await connection.fetch(SQL[name], *values)


def _key(row: Sequence[Any]) -> ApiKey:
    values = list(row)
    values[2] = Scope(values[2])
    return ApiKey(*values)


async def _add(connection: Connection, key: ApiKey, live_max: int, revoked_max: int) -> None:
    await connection.execute(SQL["one_at_a_time"])
    live, named = (await connection.fetch(SQL["live_api_keys"], key.name))[0]
    if live >= live_max:
        said = _("There are {max} API keys already. Revoke one first: comporta api-key revoke")
        raise LimitError(said.format(max=live_max))
    if named:
        said = _('There is an API key "{name}" already. Revoke it first, or choose another name.')
        raise ConflictError(said.format(name=key.name))
    values = (key.id, key.name, key.scope.value, key.digest, key.hint)
    await connection.execute(SQL["add_api_key"], *values, key.created_at_ms, key.created_by)
    await connection.execute(SQL["forget_revoked"], revoked_max)


async def _begin(connection: Connection, caller: str, key: str, digest: str, now_ms: int) -> Begun:
    """Whoever comes second to a key waits for the first one's transaction, and finds its row."""
    old_ms, unfinished_ms = now_ms - ANSWER_KEPT_MS, now_ms - UNFINISHED_MS
    for _look in range(_LOOKS):
        values = (caller, key, digest, now_ms, old_ms, unfinished_ms)
        if await connection.fetchval(SQL["begin_request"], *values):
            await connection.execute(SQL["forget_requests"], old_ms, unfinished_ms, ANSWERS_MAX)
            return Begun(fresh=True, digest=digest)
        known = await connection.fetchrow(SQL["known_request"], caller, key)
        if known is not None:
            return Begun(fresh=False, digest=known[0], answer=known[1])
    raise StoreUnavailableError(_("The same request is being repeated too fast. Try again."))
