"""What each server says of itself in the ledger: spool, disk, answers, which only it can see."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import msgspec
import structlog

from comporta.alerting.answers import Answered, Window
from comporta.alerting.rules import Server
from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.errors import StoreError
from comporta.ledger.watching import Watching
from comporta.log.spool.flags import Flags
from comporta.telemetry.spells import Spell

PERIOD_S = 20.0
DEADLINE_S = 5.0
STALE_MS = 300_000
"""A server that has said nothing for so long is gone; that its workers are missing others see."""
SERVERS_MAX = 100
NAME = "servers"
SPOOL_FLAGS = "spool.flags"
_log = structlog.get_logger(__name__)


class _Said(msgspec.Struct, frozen=True):
    at_ms: int
    server: Server


_decode = msgspec.json.Decoder(dict[str, _Said]).decode


class Report:
    """What one process says of its server, unless another process of it has just done so.

    Args:
        watching: the ledger's part.
        server: this server's name.
        data: its data folder.
        answered: what its workers have answered since their start; may raise OSError.
        now_ms: the clock, Unix milliseconds.
    """

    def __init__(
        self,
        watching: Watching,
        server: str,
        data: Path,
        answered: Callable[[], Awaitable[Answered]],
        now_ms: Callable[[], int],
    ) -> None:
        self._watching, self._server, self._data, self._now_ms = watching, server, data, now_ms
        self._answered, self._window = answered, Window()
        self._spell = Spell(_log, "server.not_reported", "server.reported_again")

    async def run(self) -> None:
        """Say it until cancelled."""
        while True:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await self.say()
                self._spell.worked()
            except (StoreError, OSError) as error:  # a TimeoutError is an OSError
                self._spell.failed(error)
            await asyncio.sleep(PERIOD_S)

    async def say(self) -> None:
        """Say it once; who comes second at the same moment says it next time."""
        kept = await self._watching.document(NAME)
        now_ms = self._now_ms()
        lately = self._window.lately(await self._answered(), now_ms)
        said = _fresh(kept.text, now_ms)
        mine = said.get(self._server)
        if mine is not None and now_ms - mine.at_ms < PERIOD_S * 900:
            return
        said[self._server] = _Said(now_ms, await asyncio.to_thread(server_at, self._data, lately))
        newest = sorted(said.items(), key=lambda one: one[1].at_ms)[-SERVERS_MAX:]
        text = msgspec.json.encode(dict(newest)).decode()
        await self._watching.keep_document(NAME, text, kept.version)


async def read_reports(watching: Watching, now_ms: int) -> dict[str, Server]:
    """What servers have said of themselves lately."""
    text = (await watching.document(NAME)).text
    return {name: said.server for name, said in _fresh(text, now_ms).items()}


def server_at(data: Path, answered: Answered) -> Server:
    """What there is to say of the server with this data folder. Raises OSError."""
    return Server(shutil.disk_usage(data).free, _spooled(data / SPOOL_FLAGS), answered)


def _spooled(path: Path) -> int:
    if not path.exists():
        return 0
    flags = Flags(path, PARTITIONS_MAX)
    flags.open()
    with closing(flags):
        return flags.waiting or -int(flags.active)


def _fresh(text: str, now_ms: int) -> dict[str, _Said]:
    said = _decode(text) if text else {}
    return {name: one for name, one in said.items() if abs(now_ms - one.at_ms) < STALE_MS}
