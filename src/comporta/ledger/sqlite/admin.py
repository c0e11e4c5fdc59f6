"""The admin API's part of the embedded ledger. Writes are jobs of the ledger's own writer."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import apsw

from comporta.embedded.rows import every, one
from comporta.errors import ConflictError, LimitError
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

SQL = blocks("sqlite_admin")
T = TypeVar("T")
_Job = Callable[[apsw.Connection], T]


class Run(Protocol):
    """Runs a job on the ledger's file, reading or writing."""

    def __call__(self, job: _Job[T], /) -> Awaitable[T]:
        """What the job returned."""
        ...


class SqliteAdmin:
    """The `AdminLedger` port.

    Args:
        read: runs a job on the reader's thread.
        write: runs a job in a durable transaction.
    """

    def __init__(self, read: Run, write: Run) -> None:
        self._read, self._write = read, write

    async def api_keys(self) -> list[ApiKey]:
        """See the port."""
        return await self._read(lambda c: [_key(row) for row in every(c, SQL["api_keys"])])

    async def add_api_key(self, key: ApiKey, live_max: int, revoked_max: int) -> None:
        """See the port."""
        await self._write(lambda c: _add(c, key, live_max, revoked_max))

    async def revoke_api_key(self, key_id: str, now_ms: int) -> bool:
        """See the port."""
        return await self._write(lambda c: _changed(c, SQL["revoke_api_key"], (now_ms, key_id)))

    async def touch_api_key(self, key_id: str, now_ms: int) -> None:
        """See the port."""
        await self._write(lambda c: _changed(c, SQL["touch_api_key"], (now_ms, key_id)))

    async def begin(self, caller: str, key: str, digest: str, now_ms: int) -> Begun:
        """See the port."""
        return await self._write(lambda c: _begin(c, caller, key, digest, now_ms))

    async def finish(self, caller: str, key: str, answer: str) -> None:
        """See the port."""
        if answer:
            await self._write(lambda c: _changed(c, SQL["keep_answer"], (answer, caller, key)))
        else:
            await self._write(lambda c: _changed(c, SQL["forget_request"], (caller, key)))


def _key(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(row[0], row[1], Scope(row[2]), *row[3:])


def _changed(connection: apsw.Connection, sql: str, values: tuple[object, ...]) -> bool:
    connection.execute(sql, values)
    return connection.changes() > 0


def _add(connection: apsw.Connection, key: ApiKey, live_max: int, revoked_max: int) -> None:
    if int(one(connection, SQL["live_api_keys"])[0]) >= live_max:
        said = _("There are {max} API keys already. Revoke one first: comporta api-key revoke")
        raise LimitError(said.format(max=live_max))
    if one(connection, SQL["live_named"], (key.name,)) is not None:
        said = _('There is an API key "{name}" already. Revoke it first, or choose another name.')
        raise ConflictError(said.format(name=key.name))
    values = (key.id, key.name, key.scope.value, key.digest, key.hint)
    connection.execute(SQL["add_api_key"], (*values, key.created_at_ms, key.created_by))
    connection.execute(SQL["forget_revoked"], (revoked_max,))


def _begin(connection: apsw.Connection, caller: str, key: str, digest: str, now_ms: int) -> Begun:
    connection.execute(SQL["forget_old"], (now_ms - ANSWER_KEPT_MS,))
    connection.execute(SQL["forget_unfinished"], (now_ms - UNFINISHED_MS,))
    known = one(connection, SQL["known_request"], (caller, key))
    if known is not None:
        return Begun(fresh=False, digest=known[0], answer=known[1])
    connection.execute(SQL["forget_beyond"], (ANSWERS_MAX - 1,))
    connection.execute(SQL["begin_request"], (caller, key, digest, now_ms))
    return Begun(fresh=True, digest=digest)
