"""Whether appends to a Redis work and may be trusted: looked at from time to time, and in doubt.

It is a supervisor: whatever fails here is told as the log's health and looked at again. While it
is known that appends do not work they are refused at once, for whoever waits has a better place.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from comporta.clients.redis import RedisServer
from comporta.clients.redis_checks import facts_of, judge_log
from comporta.clock import now_ms
from comporta.errors import ComportaError, ConfigError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.redis.scripts import keys_of, layout_key

LOOK_PERIOD_S = 5.0
RETRY_PERIOD_S = 0.5
"""While appends do not work."""
PROBE_S = 1.0
_log = structlog.get_logger(__name__)


class RedisWatch:
    """One process's view of one server.

    Args:
        server: which.
        partitions: that the log has.
        frame_bytes_max: what the server must be able to take in one piece.
    """

    def __init__(self, server: RedisServer, partitions: int, frame_bytes_max: int) -> None:
        self.error = ""
        """In words; "" while appends work."""
        self.warnings: Sequence[str] = ()
        self._server, self._prefix = server, server.address.prefix
        self._partitions, self._frame_bytes_max = partitions, frame_bytes_max
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, and go on looking.

        Raises:
            ConfigError: it answers, and must not be used as it is.
        """
        try:
            await self.examine()
        except StoreUnavailableError as error:
            self.fail(error)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def fail(self, error: Exception) -> None:
        """An append failed: find out what is the matter."""
        self._tell(str(error) or type(error).__name__)
        self._doubt.set()

    def refuse_if_away(self) -> None:
        """Raises StoreUnavailableError while it is known that appends do not work."""
        if self.error:
            raise StoreUnavailableError(self.error)

    async def probe(self) -> None:
        """See `Broker.probe`."""
        try:
            async with asyncio.timeout(PROBE_S):
                await self.examine()
        except TimeoutError as error:
            self.fail(self._server.unavailable(error))
        except ComportaError as error:
            self.fail(error)
        self.refuse_if_away()

    async def examine(self) -> None:
        """Ask the server how it is set up, and write a little on every partition.

        Raises:
            ConfigError: it must not be used as it is.
            StoreUnavailableError: no answer, or no writing.
        """
        findings = judge_log(
            await facts_of(self._server),
            replicated=self._server.replicated,
            frame_bytes_max=self._frame_bytes_max,
        )
        if findings.error:
            raise ConfigError(findings.error)
        await self._check_layout()
        await self._try_writing()
        self.warnings = findings.warnings
        self._tell("")

    async def _check_layout(self) -> None:
        key = layout_key(self._prefix)
        await self._server.one("HSETNX", key, "partitions", self._partitions)
        made_with = int(await self._server.one("HGET", key, "partitions"))
        if made_with != self._partitions:
            said = _(
                "The log under the prefix {prefix} in Redis was made with {made_with} partitions,"
                " not {partitions}. Set partitions = {made_with} again: events may be waiting in"
                " them."
            )
            raise ConfigError(
                said.format(prefix=self._prefix, made_with=made_with, partitions=self._partitions)
            )

    async def _try_writing(self) -> None:
        at_ms = now_ms()
        metas = [keys_of(self._prefix, partition)[1] for partition in range(self._partitions)]
        for answer in await self._server.many([("HSET", k, "probed_ms", at_ms) for k in metas]):
            if isinstance(answer, StoreUnavailableError):
                raise answer

    async def _run(self) -> None:
        while True:
            self._doubt.clear()
            if self.error:
                await asyncio.sleep(RETRY_PERIOD_S)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_PERIOD_S):
                        await self._doubt.wait()
            try:
                await self.examine()
            except ComportaError as error:
                self._tell(str(error))
            except Exception as error:  # noqa: BLE001  (a supervisor: told as health, and tried again)
                _log.exception("log.not_examined")
                self._tell(str(error) or type(error).__name__)

    def _tell(self, error: str) -> None:
        """Keep what is wrong; a line in the log only when that begins or ends."""
        if error and not self.error:
            _log.error("store.failed", server=self._server.address.where, error=error)
        elif self.error and not error:
            _log.info("store.recovered", server=self._server.address.where)
        self.error = error
