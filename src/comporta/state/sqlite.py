"""The embedded state: one small SQLite file, not synced at each commit, for it may be lost.

What would be lost with it: leases (taken anew within a lease), breakers (opened again by what
fails), rates (a burst too many), and the rejected ring. The fencing tokens start from the clock, so
that they rise even if the file was lost.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from comporta.domain.breaker import CLOSED, Breaker, BreakerState, probed, probing, tripped
from comporta.domain.rate import Grant, Rate, changes, grant
from comporta.embedded.connection import connect
from comporta.embedded.gate import gate_of
from comporta.embedded.migrations import migrate
from comporta.embedded.reader import Reader
from comporta.embedded.rows import every, one, transaction
from comporta.embedded.upkeep import Upkeep
from comporta.state.port import Lease, Rejected, WorkerRow

_BEAT = """
INSERT INTO workers (id, pid, started_at_ms, beat_at_ms, partitions, server, dispatches)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET beat_at_ms = excluded.beat_at_ms, partitions = excluded.partitions
"""
_RENEW = "UPDATE leases SET expires_at_ms = ? WHERE worker_id = ? AND expires_at_ms >= ?"
_ALIVE = """
SELECT id, pid, started_at_ms, beat_at_ms, partitions, server, dispatches FROM workers
WHERE beat_at_ms BETWEEN ? AND ? ORDER BY started_at_ms, id
"""
_BURY = "DELETE FROM workers WHERE beat_at_ms NOT BETWEEN ? AND ?"
_TAKEN = "SELECT partition, token, expires_at_ms FROM leases"
_TAKE = """
INSERT INTO leases (partition, worker_id, token, expires_at_ms) VALUES (?, ?, ?, ?)
ON CONFLICT (partition) DO UPDATE SET worker_id = excluded.worker_id, token = excluded.token,
                                      expires_at_ms = excluded.expires_at_ms
"""
_HELD = """
SELECT partition, token FROM leases WHERE worker_id = ? AND expires_at_ms >= ? ORDER BY partition
"""
_RELEASE = "UPDATE leases SET expires_at_ms = 0 WHERE worker_id = ? AND partition = ?"
_RELEASE_ALL = "UPDATE leases SET expires_at_ms = 0 WHERE worker_id = ?"
_LEAVE = "DELETE FROM workers WHERE id = ?"
_HOLD = """
INSERT INTO duties (name, holder, expires_at_ms) VALUES (?1, ?2, ?3 + ?4)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at_ms = excluded.expires_at_ms
WHERE holder = ?2 OR expires_at_ms NOT BETWEEN ?3 AND ?3 + 2 * ?4
"""
"""One that runs longer than a lease can was given before the clock was set back."""
_LET_GO = "DELETE FROM duties WHERE name = ? AND holder = ?"
_REJECT = """
INSERT INTO rejected (at_ms, status, reason, method, path, peer, source_id, headers, body_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_KEEP = "DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?"
_FORGET_REJECTED = (
    "DELETE FROM rejected WHERE id IN (SELECT id FROM rejected ORDER BY id LIMIT ?2) AND at_ms < ?1"
)
_REJECTED = """
SELECT at_ms, status, reason, method, path, peer, source_id, headers, body_bytes, id FROM rejected
WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2
"""
_BREAKERS = "SELECT destination_id, document FROM breakers"
_BREAKER = "SELECT document FROM breakers WHERE destination_id = ?"
_KEEP_BREAKER = "INSERT OR REPLACE INTO breakers (destination_id, document) VALUES (?, ?)"
_CLOSE_BREAKER = "DELETE FROM breakers WHERE destination_id = ?"
_RATE = "SELECT tat_ms FROM rates WHERE destination_id = ?"
_KEEP_RATE = "INSERT OR REPLACE INTO rates (destination_id, tat_ms) VALUES (?, ?)"
FORGOTTEN_AFTER_LEASES = 20
_decode_breaker = msgspec.json.Decoder(Breaker).decode


class SqliteState:
    """The `State` port on a SQLite file; made if it does not exist."""

    def __init__(self, path: Path, *, upkeep: bool = True) -> None:
        self._store = Reader(path, lambda: _open(path))
        self._gate = gate_of(path)
        self._upkeep = Upkeep(path, durable=False, active=upkeep)

    @property
    def engine(self) -> str:
        """See the port."""
        return "sqlite"

    @property
    def warnings(self) -> Sequence[str]:
        """See the port."""
        return ()

    async def open(self) -> None:
        """See the port."""
        await self._store.run(_ready)
        self._upkeep.start()

    async def close(self) -> None:
        """See the port."""
        self._upkeep.close()
        await self._store.close()
        self._gate.close()

    async def beat(self, worker: WorkerRow, lease_s: float) -> list[WorkerRow]:
        """See the port."""
        lease_ms = int(lease_s * 1000)
        now_ms = worker.beat_at_ms

        def step(connection: apsw.Connection) -> list[WorkerRow]:
            with self._gate.turn(), transaction(connection):
                connection.execute(_BEAT, msgspec.structs.astuple(worker))
                connection.execute(_RENEW, (now_ms + lease_ms, worker.id, now_ms))
                long_ago = now_ms - FORGOTTEN_AFTER_LEASES * lease_ms
                connection.execute(_BURY, (long_ago, now_ms + lease_ms))
                return _alive(connection, now_ms, lease_ms)

        return await self._store.run(step)

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

        def step(connection: apsw.Connection) -> list[Lease]:
            lease_ms = int(lease_s * 1000)
            with self._gate.turn(), transaction(connection):
                known = {p: (token, until) for p, token, until in every(connection, _TAKEN)}
                # One that runs longer than a lease can was given before the clock was set back.
                taken = range(now_ms, now_ms + 2 * lease_ms)
                free = [p for p in partitions if p not in known or known[p][1] not in taken]
                leases = [
                    Lease(p, max(known.get(p, (0, 0))[0] + 1, now_ms, above + 1))
                    for p in free[:wanted]
                ]
                until_ms = now_ms + lease_ms
                connection.executemany(
                    _TAKE, [(lease.partition, worker_id, lease.token, until_ms) for lease in leases]
                )
                return leases

        return await self._store.run(step)

    async def held(self, worker_id: str, now_ms: int) -> list[Lease]:
        """See the port."""
        return await self._store.run(
            lambda c: [Lease(*row) for row in every(c, _HELD, (worker_id, now_ms))]
        )

    async def release(self, worker_id: str, partitions: Sequence[int]) -> None:
        """See the port."""

        def step(connection: apsw.Connection) -> None:
            with self._gate.turn(), transaction(connection):
                connection.executemany(_RELEASE, [(worker_id, p) for p in partitions])

        await self._store.run(step)

    async def leave(self, worker_id: str) -> None:
        """See the port."""

        def step(connection: apsw.Connection) -> None:
            with self._gate.turn(), transaction(connection):
                connection.execute(_RELEASE_ALL, (worker_id,))
                connection.execute(_LEAVE, (worker_id,))

        await self._store.run(step)

    async def workers(self, now_ms: int, lease_s: float) -> list[WorkerRow]:
        """See the port."""
        return await self._store.run(lambda c: _alive(c, now_ms, int(lease_s * 1000)))

    async def hold(self, duty: str, holder: str, lease_s: float, now_ms: int) -> bool:
        """See the port."""

        def step(connection: apsw.Connection) -> bool:
            with self._gate.turn(), transaction(connection):
                connection.execute(_HOLD, (duty, holder, now_ms, int(lease_s * 1000)))
                return connection.changes() > 0

        return await self._store.run(step)

    async def let_go(self, duty: str, holder: str) -> None:
        """See the port."""

        def step(connection: apsw.Connection) -> None:
            with self._gate.turn(), transaction(connection):
                connection.execute(_LET_GO, (duty, holder))

        await self._store.run(step)

    async def breakers(self) -> dict[str, Breaker]:
        """See the port."""
        rows = await self._store.run(lambda c: every(c, _BREAKERS))
        return {id_: _decode_breaker(document) for id_, document in rows}

    async def trip(
        self, destination_id: str, now_ms: int, reason: str, hold_s: float = 0.0
    ) -> Breaker:
        """See the port."""
        return await self._turn(destination_id, lambda b: tripped(b, now_ms, reason, hold_s))

    async def probe(
        self, destination_id: str, now_ms: int, timeout_s: float
    ) -> tuple[Breaker, bool]:
        """See the port."""
        allowed = False

        def ask(breaker: Breaker) -> Breaker:
            nonlocal allowed
            breaker, allowed = probing(breaker, now_ms, timeout_s)
            return breaker

        return await self._turn(destination_id, ask), allowed

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

        def report(breaker: Breaker) -> Breaker:
            return probed(breaker, now_ms, success=success, reason=reason, hold_s=hold_s)

        return await self._turn(destination_id, report)

    async def take(self, destination_id: str, rate: Rate, wanted: int, now_ms: int) -> Grant:
        """See the port."""

        def step(connection: apsw.Connection) -> Grant:
            with self._gate.turn(), transaction(connection):
                row = one(connection, _RATE, (destination_id,))
                tat_ms = row[0] if row else 0.0
                given = grant(tat_ms, now_ms, rate, wanted)
                if changes(given, tat_ms):
                    connection.execute(_KEEP_RATE, (destination_id, given.tat_ms))
                return given

        return await self._store.run(step)

    async def _turn(self, destination_id: str, change: Callable[[Breaker], Breaker]) -> Breaker:
        """Read a breaker, change it, keep it."""

        def step(connection: apsw.Connection) -> Breaker:
            with self._gate.turn(), transaction(connection):
                row = one(connection, _BREAKER, (destination_id,))
                old = _decode_breaker(row[0]) if row else CLOSED
                new = change(old)
                if new.state is BreakerState.CLOSED:
                    connection.execute(_CLOSE_BREAKER, (destination_id,))
                elif new != old:
                    document = msgspec.json.encode(new).decode()
                    connection.execute(_KEEP_BREAKER, (destination_id, document))
                return new

        return await self._store.run(step)

    async def reject(self, rows: Sequence[Rejected], keep: int) -> None:
        """See the port."""

        def step(connection: apsw.Connection) -> None:
            with self._gate.turn(), transaction(connection):
                connection.executemany(_REJECT, [_rejected_row(row) for row in rows])
                connection.execute(_KEEP, (keep,))

        await self._store.run(step)

    async def forget_rejected(self, before_ms: int, rows_max: int) -> bool:
        """See the port."""

        def step(connection: apsw.Connection) -> bool:
            with self._gate.turn(), transaction(connection):
                connection.execute(_FORGET_REJECTED, (before_ms, rows_max))
                return connection.changes() == rows_max

        return await self._store.run(step)

    async def rejected(self, limit: int, before_id: int | None = None) -> list[Rejected]:
        """See the port."""

        def step(connection: apsw.Connection) -> list[Rejected]:
            rows = every(connection, _REJECTED, (before_id, limit))
            return [_read_rejected(list(row)) for row in rows]

        return await self._store.run(step)


def _open(path: Path) -> apsw.Connection:
    connection = connect(path, durable=False)
    try:
        migrate(connection, path, "comporta.state.schema", "")
    except BaseException:
        connection.close()
        raise
    return connection


def _ready(_connection: apsw.Connection) -> None:
    """Opening the connection was all."""


def _alive(connection: apsw.Connection, now_ms: int, lease_ms: int) -> list[WorkerRow]:
    # A beat that lies far ahead was made before the clock was set back: it says nothing.
    span = (now_ms - lease_ms, now_ms + lease_ms)
    return [_worker(*row) for row in every(connection, _ALIVE, span)]


def _worker(*values: Any) -> WorkerRow:
    *others, dispatches = values
    return msgspec.structs.replace(WorkerRow(*others), dispatches=bool(dispatches))


def _read_rejected(values: list[Any]) -> Rejected:
    values[7] = tuple((name, value) for name, value in json.loads(values[7]))
    return Rejected(*values)


def _rejected_row(row: Rejected) -> tuple[object, ...]:
    headers = json.dumps(row.headers)
    return (
        row.at_ms,
        row.status,
        row.reason,
        row.method,
        row.path,
        row.peer,
        row.source_id,
        headers,
        row.body_bytes,
    )
