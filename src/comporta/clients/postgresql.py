"""PostgreSQL as the ledger uses it: addresses, pools, and transactions that are surely ended.

Everything runs in an explicit transaction and leaves no state in its session, so PgBouncer may
stand in between, in transaction mode: statements are not kept, settings are local to a transaction.
It knows nothing about what is stored.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg  # type: ignore[import-untyped]
import msgspec

from comporta.clients.postgresql_words import FAILURES, UnsureError, said
from comporta.errors import ComportaError, ConfigError, StoreUnavailableError
from comporta.i18n import _

CONNECT_S = 3.0
ACQUIRE_S = 5.0
"""To wait for a connection of the pool, a new one included."""
CLOSE_S = 5.0
IDLE_S = 60.0
IDLE_IN_TRANSACTION_S = 5.0
"""Of a process that stands still, or whose machine is gone: what it holds is free then."""
TRIES = 3
"""Of a transaction that another one got into the way of."""
SCHEMA = "comporta"
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_REFUSED = (asyncpg.TransactionRollbackError, asyncpg.IntegrityConstraintViolationError)
"""By these a server says that it did not commit; a dying one may say anything."""
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")
P = ParamSpec("P")
T = TypeVar("T")


class Connection(Protocol):
    """What a job may do with the connection of its transaction. Values are `$1`, `$2` and so on."""

    async def execute(self, sql: str, *values: Any) -> str:
        """Run a statement; its tag, such as `UPDATE 3`."""
        ...

    async def fetch(self, sql: str, *values: Any) -> list[Sequence[Any]]:
        """All rows."""
        ...

    async def fetchrow(self, sql: str, *values: Any) -> Sequence[Any] | None:
        """The first row."""
        ...

    async def fetchval(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None if there is none."""
        ...

    async def copy_records_to_table(
        self, table_name: str, *, records: Sequence[tuple[Any, ...]], columns: Sequence[str]
    ) -> str:
        """Add rows by COPY. The table is looked for as in a statement."""
        ...


class Address(msgspec.Struct, frozen=True):
    """Where a database is."""

    dsn: str
    """For the client, with the password in it: never shown."""
    where: str
    """`host:port/database`, for people."""
    schema: str
    """Where the tables are."""


def address_of(url: str) -> Address:
    """What `postgresql://user:password@host:port/database?option=value` says.

    Options go to the client (`sslmode`, `target_session_attrs`, …), but for `schema`. Of several
    hosts the one that takes writes is used.

    Raises:
        ConfigError: it names no database, or its schema is no plain name.
    """
    parts = urlsplit(url)
    hosts, database = parts.netloc.rpartition("@")[2], parts.path.strip("/")
    options = dict(parse_qsl(parts.query))
    schema = options.pop("schema", SCHEMA)
    if not database:
        said_ = _("COMPORTA_LEDGER names no database. Write postgresql://user@host/database")
        raise ConfigError(said_)
    if _NAME.fullmatch(schema) is None:
        said_ = _('"{schema}" is no schema\'s name: letters a to z, digits and _, at most 40.')
        raise ConfigError(said_.format(schema=schema))
    if "," in hosts:
        options.setdefault("target_session_attrs", "primary")
    options.setdefault("application_name", "comporta")
    dsn = parts._replace(query=urlencode(options)).geturl()
    return Address(dsn, f"{hosts}/{database}", schema)


class Pool:
    """A few connections for one purpose. They are made when they are needed.

    Args:
        address: of the database.
        size: how many connections at most.
        statement_s: how long a statement may take, seconds.
        settings: more settings of every transaction, name → value.
    """

    def __init__(
        self, address: Address, size: int, statement_s: float, **settings: str | int
    ) -> None:
        self._address, self._size, self._statement_s = address, size, statement_s
        self._settings: dict[str, str | int] = {
            "search_path": address.schema,
            "statement_timeout": int(statement_s * 1000),
            "idle_in_transaction_session_timeout": int(IDLE_IN_TRANSACTION_S * 1000),
            "jit": "off",
            **settings,
        }
        self._pool: asyncpg.Pool | None = None
        self.prepare: Callable[[], Awaitable[None]] | None = None
        """Awaited before each job, as long as there is one."""

    def always(self, **settings: str | int) -> None:
        """More settings of every transaction from now on."""
        self._settings |= settings

    async def open(self) -> None:
        """Get ready, without connecting."""
        try:
            self._pool = await asyncpg.create_pool(
                self._address.dsn,
                min_size=0,
                max_size=self._size,
                max_inactive_connection_lifetime=IDLE_S,
                timeout=CONNECT_S,
                command_timeout=self._statement_s + 1,
                statement_cache_size=0,
                reset=_nothing_to_reset,
            )
        except (asyncpg.InterfaceError, ValueError) as error:
            raise ConfigError(said(error, self._address.where)) from None

    async def close(self) -> None:
        """Wait for what is under way, at most `CLOSE_S`; then stop."""
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), CLOSE_S)
            except FAILURES:
                self._pool.terminate()

    async def run(
        self,
        job: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a job in a transaction of its own, which is committed when it returns.

        A job that met another transaction (a deadlock) is run again, so it may change nothing but
        the database.

        Raises:
            UnsureError: nobody knows whether it was committed.
            StoreUnavailableError: it was not.
        """
        if self.prepare is not None:
            await self.prepare()
        return await self.run_unprepared(job, *args, **kwargs)

    async def run_unprepared(
        self,
        job: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`run`, for who prepares."""
        for left in reversed(range(TRIES)):
            try:
                return await self._once(job, *args, **kwargs)
            except FAILURES as error:
                if left and isinstance(error, _AGAIN):
                    continue
                raise StoreUnavailableError(said(error, self._address.where)) from None
        raise AssertionError

    async def _once(
        self,
        job: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        if self._pool is None:
            raise StoreUnavailableError(_("The ledger is closed."))
        connection = await self._pool.acquire(timeout=ACQUIRE_S)
        try:
            await connection.execute(self._begin())
            result = await job(connection, *args, **kwargs)
            await self._commit(connection, result)
        except UnsureError:
            raise
        except (asyncpg.PostgresError, ComportaError):
            await _roll_back(connection)
            raise
        except BaseException:
            _drop(connection)  # nobody knows what it is in the middle of
            raise
        finally:
            await self._pool.release(connection)
        return result

    def _begin(self) -> str:
        """One message, so one way there and back."""
        local = "".join(f"; SET LOCAL {name} = {value}" for name, value in self._settings.items())
        return f"BEGIN{local}"

    async def _commit(self, connection: Any, result: object) -> None:
        try:
            await connection.execute("COMMIT")
        except FAILURES as error:
            if isinstance(error, _REFUSED):
                raise
            _drop(connection)
            raise UnsureError(said(error, self._address.where), result) from None


async def _nothing_to_reset(_connection: Connection) -> None:
    """Transactions leave nothing in their session."""


async def _roll_back(connection: Any) -> None:
    try:
        await connection.execute("ROLLBACK")
    except FAILURES:
        _drop(connection)


def _drop(connection: Any) -> None:
    with suppress(asyncpg.InterfaceError):  # it is gone, and the pool knows
        connection.terminate()
