"""One PostgreSQL database with its pools, checked for what would lose what it confirmed.

Dispatch, people's searches and the fleet's watch have pools of their own: none waits for another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from comporta.clients.postgresql import Address, Connection, Pool, address_of
from comporta.errors import ConfigError, StoreUnavailableError
from comporta.i18n import _

VERSION_MIN = 15
WORK_S, PEOPLE_S, WATCH_S, UPKEEP_S = 10.0, 60.0, 5.0, 90.0
WORK_SIZE, PEOPLE_SIZE, WATCH_SIZE, UPKEEP_SIZE = 3, 2, 2, 1
_BY_INDEX = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Dispatch asks for rows by their keys only. A planner that knows nothing yet of a table (in the
first minutes of a day, say) must not choose to read all of it."""
_FACTS = """
SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),
       current_setting('fsync'), current_setting('synchronous_commit')
"""


class Database:
    """See the module.

    Args:
        url: `postgresql://…`
        migrate: a job that brings the schema up to date.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(self, url: str, migrate: Callable[[Connection], Awaitable[None]]) -> None:
        self.address: Address = address_of(url)
        self._migrate = migrate
        self._preparing = asyncio.Lock()
        self.work = Pool(self.address, WORK_SIZE, WORK_S, **_BY_INDEX)
        """For dispatch."""
        self.people = Pool(self.address, PEOPLE_SIZE, PEOPLE_S)
        """For what may take long."""
        self.watch = Pool(self.address, WATCH_SIZE, WATCH_S)
        """For short questions that are asked all the time."""
        self.upkeep = Pool(self.address, UPKEEP_SIZE, UPKEEP_S, **_BY_INDEX)
        """For retention, which waits for itself only."""

    async def open(self) -> None:
        """Check the server and its schema; if it is away, whoever asks something next does that.

        Raises:
            ConfigError: it would lose what it confirmed, or is too old.
            SchemaTooNewError: a newer version wrote it.
        """
        for pool in self._pools:
            await pool.open()
            pool.prepare = self._prepare_late
        with suppress(StoreUnavailableError):
            await self._prepare()

    async def _prepare(self) -> None:
        async with self._preparing:
            if self.watch.prepare is None:  # somebody else has
                return
            facts = await self.watch.run_unprepared(_facts)
            _check(facts, self.address.where)
            if facts[3] == "off":  # somebody's choice for other tables of this server
                for pool in self._pools:
                    pool.always(synchronous_commit="on")
            await self.watch.run_unprepared(self._migrate)
            for pool in self._pools:
                pool.prepare = None

    async def _prepare_late(self) -> None:
        """Once others rely on it, what is wrong with it is an outage to them."""
        try:
            await self._prepare()
        except ConfigError as error:
            raise StoreUnavailableError(str(error)) from None

    async def close(self) -> None:
        """Wait for what is under way, then stop."""
        for pool in self._pools:
            await pool.close()

    @property
    def _pools(self) -> Sequence[Pool]:
        return self.work, self.people, self.watch, self.upkeep


async def _facts(connection: Connection) -> Sequence[Any]:
    return (await connection.fetch(_FACTS))[0]


def _check(facts: Sequence[Any], where: str) -> None:
    version, encoding, fsync, _commit = facts
    if version < VERSION_MIN:
        text = _("{where} is PostgreSQL {version}. Comporta needs {min} or newer: upgrade it.")
        raise ConfigError(text.format(where=where, version=version, min=VERSION_MIN))
    if encoding != "UTF8":
        text = _(
            "The database {where} has the encoding {encoding}. Create one for Comporta with"
            " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
        raise ConfigError(text.format(where=where, encoding=encoding))
    if fsync != "on":
        text = _(
            "PostgreSQL at {where} runs with fsync = off: a power cut would lose what it confirmed."
            " Set fsync = on in postgresql.conf and reload it."
        )
        raise ConfigError(text.format(where=where))
