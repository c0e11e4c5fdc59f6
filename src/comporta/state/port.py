"""What workers may ask of their shared state. It need not outlive a power cut."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from comporta.domain.breaker import Breaker
from comporta.domain.rate import Grant, Rate


class Lease(msgspec.Struct, frozen=True):
    """An exclusive, expiring right to a partition, and the fencing token that came with it."""

    partition: int
    token: int


class WorkerRow(msgspec.Struct, frozen=True):
    """A worker that has been heard of lately."""

    id: str
    pid: int
    started_at_ms: int
    beat_at_ms: int
    partitions: int
    server: str = ""
    """The name of the server that it belongs to."""
    dispatches: bool = True
    """Whether it takes its share of the partitions."""


class Rejected(msgspec.Struct, frozen=True):
    """A request that was refused: enough to tell a person why, nothing that is secret."""

    at_ms: int
    status: int
    reason: str
    method: str
    path: str
    """With any token masked."""
    peer: str
    source_id: str
    """"" if it could not be told."""
    headers: tuple[tuple[str, str], ...]
    """Secrets masked."""
    body_bytes: int
    id: int = 0
    """Given by the store."""


class State(Protocol):
    """One process's view of the shared state. Every method may raise `StoreUnavailableError`."""

    @property
    def engine(self) -> str:
        """Its name, for people."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Settings of the engine's server that weaken what is promised, in sentences."""
        ...

    async def open(self) -> None:
        """Get ready."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...

    async def beat(self, worker: WorkerRow, lease_s: float) -> list[WorkerRow]:
        """Say that this worker lives, renew all its leases, and learn who else lives."""
        ...

    async def acquire(  # noqa: PLR0913, PLR0917  (these are what a lease is made of)
        self,
        worker_id: str,
        partitions: Sequence[int],
        wanted: int,
        lease_s: float,
        now_ms: int,
        above: int = 0,
    ) -> list[Lease]:
        """Take up to `wanted` of the partitions that are free or whose lease has run out.

        Their tokens are higher than any before them, than the clock's milliseconds, and `above`.

        Args:
            worker_id: who takes them.
            partitions: which may be taken, the first ones first.
            wanted: at most so many.
            lease_s: for how long, seconds.
            now_ms: Unix milliseconds.
            above: see above.
        """
        ...

    async def held(self, worker_id: str, now_ms: int) -> list[Lease]:
        """The leases that this worker still has."""
        ...

    async def release(self, worker_id: str, partitions: Sequence[int]) -> None:
        """Give partitions back, so that others need not wait for the lease to run out."""
        ...

    async def leave(self, worker_id: str) -> None:
        """Release everything and be forgotten."""
        ...

    async def workers(self, now_ms: int, lease_s: float) -> list[WorkerRow]:
        """Who has been heard of within the last lease."""
        ...

    async def hold(self, duty: str, holder: str, lease_s: float, now_ms: int) -> bool:
        """Take a duty that one process at a time has, or keep it; whether it is this one's now.

        Args:
            duty: its name.
            holder: the process, by a name of its own.
            lease_s: after how many seconds another one may have it.
            now_ms: Unix milliseconds.
        """
        ...

    async def let_go(self, duty: str, holder: str) -> None:
        """Give a duty back, so that others need not wait; nothing, if somebody else has it."""
        ...

    async def breakers(self) -> dict[str, Breaker]:
        """Destination id → its breaker, where it is not closed; asked several times a second."""
        ...

    async def trip(
        self, destination_id: str, now_ms: int, reason: str, hold_s: float = 0.0
    ) -> Breaker:
        """Open a breaker, unless it is open; see `comporta.domain.breaker.tripped`."""
        ...

    async def probe(
        self, destination_id: str, now_ms: int, timeout_s: float
    ) -> tuple[Breaker, bool]:
        """Ask for a probe; see `comporta.domain.breaker.probing`."""
        ...

    async def probed(
        self,
        destination_id: str,
        now_ms: int,
        *,
        success: bool,
        reason: str = "",
        hold_s: float = 0.0,
    ) -> Breaker:
        """Report a probe; see `comporta.domain.breaker.probed`."""
        ...

    async def take(self, destination_id: str, rate: Rate, wanted: int, now_ms: int) -> Grant:
        """Up to `wanted` calls to a destination, such that all workers together keep the rate."""
        ...

    async def reject(self, rows: Sequence[Rejected], keep: int) -> None:
        """Add to the ring of refused requests and keep the newest `keep`."""
        ...

    async def forget_rejected(self, before_ms: int, rows_max: int) -> bool:
        """Forget refused requests from before a moment; whether there may be more of them.

        Args:
            before_ms: Unix milliseconds.
            rows_max: at most so many.
        """
        ...

    async def rejected(self, limit: int, before_id: int | None = None) -> list[Rejected]:
        """The newest refused requests."""
        ...
