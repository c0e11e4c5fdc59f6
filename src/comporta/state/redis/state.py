"""The shared state in Redis: small documents that are changed only if nobody else changed them.

What a change is, the pure functions of the domain say; one Lua script compares and sets. So there
is no lock that a dead worker could hold, and no arithmetic in two languages. All of it may be lost:
leases are taken anew, breakers opened again, and tokens start from the clock.

For a prefix `comporta`, the keys are:

    comporta:{state}:leases      hash: `all`, the leases of all partitions (JSON)
    comporta:{state}:workers     hash: worker → when it was heard of, and so on (JSON)
    comporta:{state}:duties      hash: duty → who has it, until when (JSON)
    comporta:{state}:breakers    hash: destination → its breaker (JSON), where it is not closed
    comporta:{state}:rejected    stream of refused requests, ids `0-<number>`, field `row` (JSON)
    comporta:rate:{dst_…}        hash: `tat_ms`

What is in braces decides the slot in a cluster; each call is of one key. Each key goes by itself
a week after it was last written.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from comporta.clients.redis import Call, RedisServer
from comporta.clients.redis_checks import facts_of, judge_state
from comporta.domain.breaker import CLOSED, Breaker, BreakerState, probed, probing, tripped
from comporta.domain.rate import Grant, Rate, changes, grant
from comporta.errors import ConfigError, StoreUnavailableError
from comporta.state.port import Lease, Rejected, WorkerRow
from comporta.state.redis.documents import CHANGE, KEEP_MS, change
from comporta.state.redis.leases import (
    Leases,
    decode_duty,
    decode_leases,
    encode_leases,
    given_back,
    held_by,
    kept,
    renewed,
    won,
)

FORGOTTEN_AFTER_LEASES = 20
T = TypeVar("T")
_encode = msgspec.json.encode
_decode_breaker = msgspec.json.Decoder(Breaker).decode
_decode_worker = msgspec.json.Decoder(WorkerRow).decode
_decode_rejected = msgspec.json.Decoder(Rejected).decode


class RedisState:
    """The `State` port on Redis.

    Args:
        url: see `clients/redis_url.py`; `?prefix=` says where the keys stand.

    Raises:
        ConfigError: the URL cannot be used.
    """

    engine = "redis"

    def __init__(self, url: str) -> None:
        self._server = RedisServer(url, [CHANGE])
        prefix = self._server.address.prefix
        self._leases, self._workers, self._duties, self._breakers, self._rejected = (
            f"{prefix}:{{state}}:{name}"
            for name in ("leases", "workers", "duties", "breakers", "rejected")
        )
        self._rates = f"{prefix}:rate"
        self.warnings: tuple[str, ...] = ()
        """Settings of the server that are dangerous, each by its name; known once it is met."""
        self._looked = False

    async def open(self) -> None:
        """Look at the server. One that is away fails whoever asks it something, not this.

        Raises:
            ConfigError: it is too old.
        """
        with suppress(StoreUnavailableError):
            error = await self._look()
            if error:
                await self._server.aclose()
                raise ConfigError(error)

    async def close(self) -> None:
        """See the port."""
        await self._server.aclose()

    async def _look(self) -> str:
        """See once how the server is set up; what makes it unusable, "" if nothing does."""
        if self._looked:
            return ""
        findings = judge_state(await facts_of(self._server))
        self._looked, self.warnings = not findings.error, findings.warnings
        return findings.error

    # Workers and leases

    async def beat(self, worker: WorkerRow, lease_s: float) -> list[WorkerRow]:
        """See the port."""
        error = await self._look()  # it was away at the start
        if error:
            raise StoreUnavailableError(error)
        lease_ms, now_ms = int(lease_s * 1000), worker.beat_at_ms
        await self._tell(
            ("HSET", self._workers, worker.id, _encode(worker)),
            ("PEXPIRE", self._workers, KEEP_MS),
        )

        await self._change_leases(lambda known: renewed(known, worker.id, now_ms, lease_ms))
        rows = await self._all_workers()
        known = range(now_ms - FORGOTTEN_AFTER_LEASES * lease_ms, now_ms + lease_ms + 1)
        buried = [row.id for row in rows if row.beat_at_ms not in known]
        if buried:
            await self._tell(("HDEL", self._workers, *buried))
        return _alive(rows, now_ms, lease_ms)

    async def acquire(  # noqa: PLR0913, PLR0917  (these are what a lease is made of)
        self,
        worker_id: str,
        partitions: Sequence[int],
        wanted: int,
        lease_s: float,
        now_ms: int,
        above: int = 0,
    ) -> list[Lease]:
        """See the port."""
        lease_ms = int(lease_s * 1000)

        def step(document: bytes) -> tuple[bytes, Leases]:
            known = decode_leases(document)
            mine = won(known, worker_id, partitions, wanted, lease_ms, now_ms, above)
            return (encode_leases(known | mine) if mine else document), mine

        mine = await change(self._server, self._leases, "all", step)
        return [Lease(p, held.token) for p, held in mine.items()]

    async def held(self, worker_id: str, now_ms: int) -> list[Lease]:
        """See the port."""
        leases = decode_leases(await self._server.one("HGET", self._leases, "all"))
        return held_by(leases, worker_id, now_ms)

    async def release(self, worker_id: str, partitions: Sequence[int]) -> None:
        """See the port."""
        await self._change_leases(lambda known: given_back(known, worker_id, partitions))

    async def leave(self, worker_id: str) -> None:
        """See the port."""
        await self._change_leases(lambda known: given_back(known, worker_id, known.keys()))
        await self._tell(("HDEL", self._workers, worker_id))

    async def workers(self, now_ms: int, lease_s: float) -> list[WorkerRow]:
        """See the port."""
        return _alive(await self._all_workers(), now_ms, int(lease_s * 1000))

    async def hold(self, duty: str, holder: str, lease_s: float, now_ms: int) -> bool:
        """See the port."""

        def step(document: bytes) -> tuple[bytes, bool]:
            old = decode_duty(document) if document else None
            new = kept(old, holder, now_ms, int(lease_s * 1000))
            return (document, False) if new is None else (_encode(new), True)

        return await change(self._server, self._duties, duty, step)

    async def let_go(self, duty: str, holder: str) -> None:
        """See the port."""

        def step(document: bytes) -> tuple[bytes, None]:
            mine = document and decode_duty(document).holder == holder
            return (b"" if mine else document), None

        await change(self._server, self._duties, duty, step)

    async def _all_workers(self) -> list[WorkerRow]:
        rows = await self._server.one("HGETALL", self._workers)
        return [_decode_worker(row) for row in rows.values()]

    async def _change_leases(self, step: Callable[[Leases], Leases]) -> None:
        def on_document(document: bytes) -> tuple[bytes, None]:
            known = decode_leases(document)
            new = step(known)
            return (document if new == known else encode_leases(new)), None

        await change(self._server, self._leases, "all", on_document)

    # Breakers and rates

    async def breakers(self) -> dict[str, Breaker]:
        """See the port."""
        found = await self._server.one("HGETALL", self._breakers)
        return {id_.decode(): _decode_breaker(document) for id_, document in found.items()}

    async def trip(
        self, destination_id: str, now_ms: int, reason: str, hold_s: float = 0.0
    ) -> Breaker:
        """See the port."""

        def open_it(breaker: Breaker) -> tuple[Breaker, None]:
            return tripped(breaker, now_ms, reason, hold_s), None

        return (await self._turn(destination_id, open_it))[0]

    async def probe(
        self, destination_id: str, now_ms: int, timeout_s: float
    ) -> tuple[Breaker, bool]:
        """See the port."""
        return await self._turn(destination_id, lambda b: probing(b, now_ms, timeout_s))

    async def probed(
        self,
        destination_id: str,
        now_ms: int,
        *,
        success: bool,
        reason: str = "",
        hold_s: float = 0.0,
    ) -> Breaker:
        """See the port."""

        def report(breaker: Breaker) -> tuple[Breaker, None]:
            return probed(breaker, now_ms, success=success, reason=reason, hold_s=hold_s), None

        return (await self._turn(destination_id, report))[0]

    async def _turn(
        self, destination_id: str, turn: Callable[[Breaker], tuple[Breaker, T]]
    ) -> tuple[Breaker, T]:
        """Read a breaker, change it, keep it."""

        def step(document: bytes) -> tuple[bytes, tuple[Breaker, T]]:
            old = _decode_breaker(document) if document else CLOSED
            new, answer = turn(old)
            if new.state is BreakerState.CLOSED:
                return b"", (new, answer)
            return (document if new == old else _encode(new)), (new, answer)

        return await change(self._server, self._breakers, destination_id, step)

    async def take(self, destination_id: str, rate: Rate, wanted: int, now_ms: int) -> Grant:
        """See the port."""

        def step(document: bytes) -> tuple[bytes, Grant]:
            tat_ms = float(document or 0)
            given = grant(tat_ms, now_ms, rate, wanted)
            return (repr(given.tat_ms).encode() if changes(given, tat_ms) else document), given

        return await change(self._server, f"{self._rates}:{{{destination_id}}}", "tat_ms", step)

    # Refused requests

    async def reject(self, rows: Sequence[Rejected], keep: int) -> None:
        """See the port."""
        if rows:
            await self._tell(
                *(
                    ("XADD", self._rejected, "MAXLEN", "=", keep, "0-*", "row", _encode(row))
                    for row in rows
                ),
                ("PEXPIRE", self._rejected, KEEP_MS),
            )

    async def forget_rejected(self, before_ms: int, rows_max: int) -> bool:
        """See the port."""
        oldest = await self._server.one("XRANGE", self._rejected, "-", "+", "COUNT", rows_max)
        ids = [id_ for id_, row in oldest if _decode_rejected(row[b"row"]).at_ms < before_ms]
        if ids:
            await self._tell(("XDEL", self._rejected, *ids))
        return len(ids) == rows_max

    async def rejected(self, limit: int, before_id: int | None = None) -> list[Rejected]:
        """See the port."""
        top = "+" if before_id is None else f"(0-{before_id}"
        rows = await self._server.one("XREVRANGE", self._rejected, top, "-", "COUNT", limit)
        return [
            msgspec.structs.replace(_decode_rejected(row[b"row"]), id=int(id_.partition(b"-")[2]))
            for id_, row in rows
        ]

    async def _tell(self, *calls: Call) -> None:
        for answer in await self._server.many(calls):
            if isinstance(answer, StoreUnavailableError):
                raise answer


def _alive(rows: Sequence[WorkerRow], now_ms: int, lease_ms: int) -> list[WorkerRow]:
    # A beat that lies far ahead was made before the clock was set back: it says nothing.
    alive = [row for row in rows if abs(row.beat_at_ms - now_ms) <= lease_ms]
    return sorted(alive, key=lambda row: (row.started_at_ms, row.id))
