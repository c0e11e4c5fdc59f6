"""What the gateway may ask of its store of record, whatever engine is behind it.

Three readers meet here: dispatch (claim, record, refill, settle), the fleet's services, and people
(the questions of the command line). Every write is a batch and one durable transaction.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from comporta.domain.classes import EventClass
from comporta.domain.delivery import Delivery, DeliveryState, Outcome
from comporta.domain.event import Headers, Record
from comporta.domain.fleet import Fleet
from comporta.domain.pace import Pace
from comporta.ledger.admin import AdminLedger
from comporta.ledger.copying import Copying
from comporta.ledger.keeping import Keeping
from comporta.ledger.watching import Watching

EMBEDDED_LOG = "sqlite"
"""The identity of the embedded log, which was the only one once."""
REFILL_BYTES_MAX = 16 * 1024 * 1024
"""Of the bodies that one refill brings, but for the last of them."""


class LaneKey(msgspec.Struct, frozen=True, order=True):
    """A lane within the whole gateway."""

    partition: int
    destination_id: str
    lane: int


class OpenLane(msgspec.Struct, frozen=True, gc=False):
    """A lane that has something to deliver, and when its head is due (Unix ms, 0: at once)."""

    key: LaneKey
    due_at_ms: int
    instance_id: str = ""
    """Whose events these are: dispatch is fair between instances."""


class Claim(msgspec.Struct, frozen=True):
    """What the new owner of a partition needs to go on where the last one stopped."""

    offset: int
    """Of the last log entry that the ledger has."""
    lanes: tuple[OpenLane, ...]


class Target(msgspec.Struct, frozen=True, gc=False):
    """One destination of an event."""

    route_id: str
    destination_id: str
    event_class: EventClass = EventClass.ORDERED
    error: str = ""
    """Why the route could not be applied to this event: the delivery is dead from the start."""


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """A log entry, ready to be recorded: where it stands, who it is for."""

    offset: int
    record: Record
    account_id: int | None
    lane: int
    targets: tuple[Target, ...]
    learns_account: bool = False
    """The event names an account that is not known of its source yet."""
    keys: tuple[bytes, ...] = ()
    """16 bytes each: an earlier event with one of them, within the window, makes it a repeat."""


class Superseded(msgspec.Struct, frozen=True, gc=False):
    """A conflated delivery that is discarded now, for a newer one says all that it said."""

    key: LaneKey
    delivery_id: int


class Recorded(msgspec.Struct, frozen=True):
    """What recording a batch brought: the deliveries to make, and what was none."""

    deliveries: tuple[Delivery, ...]
    repeats: Mapping[str, int] = {}
    """Instance id → how many events were repeats of earlier ones."""
    superseded: tuple[Superseded, ...] = ()
    """Deliveries that were waiting, and whose place a newer one of their lane has taken."""
    fenced: frozenset[int] = frozenset()
    """Partitions that have a new owner: nothing of theirs was recorded."""
    dead: Mapping[str, int] = {}
    """Destination id → how many deliveries were dead from the start."""

    @property
    def duplicates(self) -> int:
        """How many events were repeats."""
        return sum(self.repeats.values())


class EventFilter(msgspec.Struct, frozen=True):
    """Which events a person asks for. None: any. Newest first; `before_id` pages."""

    instance_id: str | None = None
    event_type: str | None = None
    conversation_id: int | None = None
    since_ms: int | None = None
    before_id: int | None = None
    limit: int = 50


class EventRow(msgspec.Struct, frozen=True):
    """An event as people see it, without its body."""

    id: int
    accepted_at_ms: int
    instance_id: str
    source_id: str
    event_type: str
    account_id: int | None
    subject: str
    verified: bool
    body_bytes: int
    duplicate_of: int | None
    deliveries: int
    """How many deliveries it has (0: no route matched, or a repeat)."""


class EventDetail(msgspec.Struct, frozen=True):
    """An event whole. `body` is None once retention has taken it."""

    row: EventRow
    headers: Headers
    body: bytes | None


class DeliveryFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which deliveries a person asks for. None, or nothing: any.

    Lists are newest first, and `before_id` pages; changes go oldest first, and `after_id` pages.
    """

    state: DeliveryState | None = None
    destination_id: str | None = None
    instance_id: str | None = None
    event_type: str | None = None
    route_id: str | None = None
    event_id: int | None = None
    delivery_ids: tuple[int, ...] = ()
    since_ms: int | None = None
    """Made at or after this moment."""
    until_ms: int | None = None
    """Made before this moment."""
    settled_until_ms: int | None = None
    """Delivered, dead or discarded since before this moment; what is open is not meant."""
    reason: str | None = None
    """A part of the reason, upper or lower case: why it failed last, or why it was given up."""
    before_id: int | None = None
    after_id: int | None = None
    limit: int = 50


class Bulk(StrEnum):
    """What people do to many deliveries at once."""

    REDRIVE = "redrive"
    """Put dead letters back."""
    REPLAY = "replay"
    """Make new deliveries for delivered ones."""
    DISCARD = "discard"
    """Give up what is open or dead."""


class Matches(msgspec.Struct, frozen=True):
    """What a change in bulk would take."""

    count: int
    bodiless: int
    """More that match, but whose bodies retention has taken: they stay as they are."""
    first_at_ms: int = 0
    """When the earliest of their events was accepted, Unix milliseconds; 0: there are none."""
    last_at_ms: int = 0


class Step(msgspec.Struct, frozen=True):
    """One step of a change in bulk: how many it took, and where the next step goes on."""

    done: int
    last_id: int


class Operation(msgspec.Struct, frozen=True):
    """What somebody did to deliveries: one record, however many steps it took."""

    at_ms: int
    who: str
    what: str
    which: dict[str, Any]
    """The filter, with what else was asked for; everything that was not is left out."""
    count: int = 0
    """How many deliveries it took so far."""
    id: int = 0
    """Its number, once it is kept."""


class FleetChange(msgspec.Struct, frozen=True):
    """A version of the fleet: who made it, when, and what changed."""

    version: int
    changed_at_ms: int
    changed_by: str
    summary: str


class DeliveryRow(msgspec.Struct, frozen=True):
    """A delivery as people see it."""

    id: int
    event_id: int
    event_type: str
    instance_id: str
    subject: str
    destination_id: str
    state: DeliveryState
    attempts: int
    due_at_ms: int
    settled_at_ms: int
    reason: str
    replay: bool


class AttemptRow(msgspec.Struct, frozen=True):
    """One try, as kept. `response` is the first part of the answer's body."""

    delivery_id: int
    number: int
    started_at_ms: int
    duration_ms: float
    status: int | None
    error: str
    response: bytes


class LedgerTotals(msgspec.Struct, frozen=True):
    """For health and doctor. Counts are exact; ages are milliseconds at the time of asking."""

    pending: int
    scheduled: int
    dead: int
    oldest_open_at_ms: int | None
    """When the oldest delivery that is still open was recorded (Unix ms)."""


class BulkSteps(Protocol):
    """The steps of changes in bulk, and their record."""

    async def redrive(self, which: DeliveryFilter, now_ms: int, operation_id: int = 0) -> Step:
        """Put matching dead letters back, at most `which.limit`, with a new retry schedule.

        They go through the bulk lane beside their lane (`domain.partitioning`).

        Args:
            which: dead letters.
            now_ms: Unix milliseconds.
            operation_id: from `note`; what is done is counted there, in the same transaction.
        """
        ...

    async def replay(
        self,
        which: DeliveryFilter,
        now_ms: int,
        destination_id: str | None = None,
        pace: Pace | None = None,
        operation_id: int = 0,
    ) -> Step:
        """Make new deliveries for matching delivered ones, at most `which.limit`, oldest first.

        They go through the bulk lane beside the old one's lane.

        Args:
            which: deliveries whose state is `delivered` (or any, if asked for by `event_id`).
            now_ms: Unix milliseconds.
            destination_id: send them there instead of to where they went.
            pace: when each may go out; None: at once.
            operation_id: as for `redrive`.
        """
        ...

    async def discard(
        self, which: DeliveryFilter, now_ms: int, reason: str, operation_id: int = 0
    ) -> Step:
        """Give up matching deliveries that are open or dead, at most `which.limit`.

        An attempt that is under way may still succeed: then the delivery is delivered after all.

        Args:
            which: deliveries; by its `state` only pending, scheduled or dead ones.
            now_ms: Unix milliseconds.
            reason: kept with each.
            operation_id: as for `redrive`.
        """
        ...

    async def note(self, operation: Operation) -> int:
        """Keep a record of an operation; its number, for the steps that follow."""
        ...


class Ledger(BulkSteps, Protocol):
    """One process's view of the ledger. Every method may raise `StoreUnavailableError`."""

    @property
    def engine(self) -> str:
        """Its name, for people."""
        ...

    async def open(self) -> None:
        """Open, migrating the schema once, under a lock.

        Raises:
            SchemaTooNewError: a newer version wrote it.
            UnsafeSqliteError: the library cannot be trusted with it.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked, then stop."""
        ...

    @property
    def keeping(self) -> Keeping:
        """What retention needs of it."""
        ...

    @property
    def admin(self) -> AdminLedger:
        """What the admin API keeps in it."""
        ...

    @property
    def copying(self) -> Copying:
        """Its rows as they are."""
        ...

    @property
    def watching(self) -> Watching:
        """What watching over the gateway keeps in it."""
        ...

    # The fleet

    async def fleet_version(self) -> int:
        """The current version; cheap, asked several times a second."""
        ...

    async def fleet(self) -> Fleet:
        """The current fleet."""
        ...

    async def fleet_changed(self, timeout_s: float) -> None:
        """Return when the fleet may have changed, at the latest after `timeout_s`."""
        ...

    async def replace_fleet(self, fleet: Fleet, who: str, summary: str) -> None:
        """Make `fleet` current. Older versions are kept as a record of who changed what, when.

        Raises:
            ConflictError: `fleet.version` is not the current version plus one.
        """
        ...

    # Dispatch

    async def claim(self, partition: int, token: int, log: str = EMBEDDED_LOG) -> Claim:
        """Become the owner: from now on writes with an older token are refused.

        Args:
            partition: which.
            token: of the lease.
            log: the log's identity. Where it is another one than at the last claim, nothing of it
                has been taken over yet: the offset is 0.

        Raises:
            FencedError: a newer token is there already.
        """
        ...

    async def record(
        self, tokens: Mapping[int, int], events: Sequence[NewEvent], now_ms: int
    ) -> Recorded:
        """Take a batch over from the log: events, deliveries and the partitions' offsets, at once.

        An entry at or before its partition's offset is passed over, so nothing is taken twice.

        Args:
            tokens: partition → fencing token, for every partition in `events`.
            events: in log order within each partition.
            now_ms: Unix milliseconds.
        """
        ...

    async def refill(
        self, lanes: Mapping[LaneKey, int], each_max: int, bytes_max: int = REFILL_BYTES_MAX
    ) -> list[Delivery]:
        """The next open deliveries of these lanes, in order, with their bodies.

        Args:
            lanes: lane → id of the last delivery that it has dealt with (0: from the start).
            each_max: at most this many of each lane.
            bytes_max: stop once the bodies have so many bytes; any of the lanes may have more then.
        """
        ...

    async def settle(
        self, tokens: Mapping[int, int], outcomes: Sequence[Outcome], now_ms: int
    ) -> frozenset[int]:
        """Record attempts and what became of their deliveries.

        Returns the partitions that have a new owner: nothing of theirs was recorded.
        """
        ...

    async def source_accounts(self) -> dict[str, int]:
        """The account that each source's events have named."""
        ...

    async def nudges(self, after: int) -> tuple[int, list[LaneKey]]:
        """Lanes that somebody changed from outside (a redrive, a replay) since number `after`.

        Returns the number to ask with next time, and the lanes to look at again. With `after` < 0:
        the present number and no lanes.
        """
        ...

    # People

    async def events(self, which: EventFilter) -> list[EventRow]:
        """Events, newest first."""
        ...

    async def event(self, event_id: int) -> EventDetail | None:
        """One event, or None."""
        ...

    async def deliveries(self, which: DeliveryFilter) -> list[DeliveryRow]:
        """Deliveries, newest first."""
        ...

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        """All attempts of a delivery, oldest first."""
        ...

    async def count(self, which: DeliveryFilter) -> int:
        """How many deliveries match (`limit` and `before_id` aside)."""
        ...

    async def matches(self, what: Bulk, which: DeliveryFilter) -> Matches:
        """What a change in bulk would take now (`limit` and the pages aside)."""
        ...

    async def operations(self, before_id: int | None, limit: int) -> list[Operation]:
        """Operations, newest first, below number `before_id`."""
        ...

    async def fleet_changes(self, before_version: int | None, limit: int) -> list[FleetChange]:
        """Versions of the fleet, newest first, below `before_version`."""
        ...

    async def totals(self) -> LedgerTotals:
        """For health and doctor."""
        ...
