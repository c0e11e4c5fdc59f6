"""Events, deliveries and refused calls of a running gateway, asked through its admin API.

The questions are those of the ports that the commands know; only what people ask is here.
"""

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from comporta.cli.remote_http import Connection
from comporta.domain import ids
from comporta.domain.breaker import Breaker, BreakerState
from comporta.domain.delivery import DeliveryState
from comporta.domain.fleet import Fleet, Scalar
from comporta.domain.pace import Pace, show_speed
from comporta.errors import NotFoundError
from comporta.ledger.port import (
    AttemptRow,
    Bulk,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventFilter,
    EventRow,
    FleetChange,
    Matches,
    Operation,
    Step,
)
from comporta.state.port import Rejected

PAGE = 200


class Pages:
    """A list of the API, from its beginning or from where the last part of it ended."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection, self._path = connection, path
        self._ended_at: tuple[int, str | None] | None = None
        """The last row's id that was given out, and the cursor behind it."""

    async def rows(
        self, limit: int, before_id: int | None, **params: Scalar | None
    ) -> list[dict[str, Any]]:
        """At most `limit` rows; with `before_id` those behind the last ones."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        if before_id is not None:
            if self._ended_at is None or self._ended_at[0] != before_id:
                raise ValueError(f"{before_id} is not where the last page ended")
            if (cursor := self._ended_at[1]) is None:
                return []
        async for items, after in self._pages(limit, cursor, params):
            found += items
            if items and isinstance(items[-1].get("id"), str):
                self._ended_at = (_number(items[-1]["id"]), after)
        return found

    async def _pages(
        self, limit: int, cursor: str | None, params: dict[str, Scalar | None]
    ) -> AsyncIterator[tuple[list[dict[str, Any]], str | None]]:
        while limit > 0:
            asked = min(limit, PAGE)
            page = await self._connection.get(self._path, limit=asked, cursor=cursor, **params)
            cursor = page["next"]
            yield page["items"], cursor
            limit -= len(page["items"])
            if cursor is None:
                return


class RemoteLedger:
    """What people ask of a ledger; see `comporta.ledger.port.Ledger`."""

    def __init__(self, connection: Connection, fleet: Callable[[], Awaitable[Fleet]]) -> None:
        self._connection = connection
        self.fleet = fleet
        """The current fleet, without secrets."""
        self._events = Pages(connection, "/events")
        self._deliveries = Pages(connection, "/deliveries")
        self._cursor: str | None = None

    async def events(self, which: EventFilter) -> list[EventRow]:
        """Events, newest first."""
        rows = await self._events.rows(
            which.limit,
            which.before_id,
            instance=which.instance_id,
            event_type=which.event_type,
            conversation=which.conversation_id,
            since=_moment(which.since_ms),
        )
        return [_event(row) for row in rows]

    async def event(self, event_id: int) -> EventDetail | None:
        """One event, or None."""
        path = f"/events/{ids.show('evt', event_id)}"
        try:
            found = await self._connection.get(path)
        except NotFoundError:
            return None
        body = await self._connection.get_bytes(f"{path}/body") if found["has_body"] else None
        headers = tuple((one["name"], one["value"]) for one in found["headers"])
        return EventDetail(_event(found), headers, body)

    async def deliveries(self, which: DeliveryFilter) -> list[DeliveryRow]:
        """Deliveries, newest first."""
        rows = await self._deliveries.rows(
            which.limit,
            which.before_id,
            state=which.state.value if which.state else None,
            destination=which.destination_id,
            instance=which.instance_id,
            event_type=which.event_type,
            route=which.route_id,
            event=ids.show("evt", which.event_id) if which.event_id is not None else None,
            since=_moment(which.since_ms),
            until=_moment(which.until_ms),
            failed_with=which.reason,
        )
        return [_delivery(row) for row in rows]

    async def attempts(self, delivery_id: int) -> list[AttemptRow]:
        """All attempts of a delivery, oldest first."""
        path = f"/deliveries/{ids.show('dlv', delivery_id)}/attempts"
        rows = (await self._connection.get(path))["items"]
        return [_attempt(delivery_id, row) for row in rows]

    async def count(self, which: DeliveryFilter) -> int:
        """How many deliveries match."""
        return int((await self._connection.post("/deliveries/count", _selection(which)))["count"])

    async def matches(self, what: Bulk, which: DeliveryFilter) -> Matches:
        """What a change in bulk would take now."""
        body = _selection(which) | {"what": what.value}
        found = await self._connection.post("/deliveries/match", body)
        return Matches(
            count=found["count"],
            bodiless=found["bodiless"],
            first_at_ms=millis(found["first_at"]),
            last_at_ms=millis(found["last_at"]),
        )

    async def note(self, operation: Operation) -> int:
        """The gateway puts each change on record by itself, with the key's name."""
        del operation
        return 0

    async def redrive(self, which: DeliveryFilter, now_ms: int, operation_id: int = 0) -> Step:
        """Put matching dead letters back."""
        del now_ms, operation_id  # the gateway's clock and record count
        return await self._step("/deliveries/redrive", which, {})

    async def replay(
        self,
        which: DeliveryFilter,
        now_ms: int,
        destination_id: str | None = None,
        pace: Pace | None = None,
        operation_id: int = 0,
    ) -> Step:
        """Make new deliveries for matching ones."""
        del now_ms, operation_id
        speed = show_speed(pace.speed) if pace else None
        return await self._step("/deliveries/replay", which, {"to": destination_id, "speed": speed})

    async def discard(
        self, which: DeliveryFilter, now_ms: int, reason: str, operation_id: int = 0
    ) -> Step:
        """Give up matching deliveries."""
        del now_ms, operation_id
        return await self._step("/deliveries/discard", which, {"reason": reason})

    async def _step(self, path: str, which: DeliveryFilter, more: dict[str, object]) -> Step:
        """One step; which one is next is the gateway's word, not an id."""
        if which.after_id is None:
            self._cursor = None
        elif self._cursor is None:
            return Step(0, 0)
        body = _selection(which) | more | {"limit": which.limit, "cursor": self._cursor}
        done = await self._connection.post(path, body)
        self._cursor = done["next"]
        return Step(done["done"], (which.after_id or 0) + max(1, done["done"]))

    async def operations(self, before_id: int | None, limit: int) -> list[Operation]:
        """What was done to deliveries in bulk, newest first."""
        rows = await Pages(self._connection, "/audit/operations").rows(limit, before_id)
        return [
            Operation(
                at_ms=millis(row["at"]),
                who=row["who"],
                what=row["what"],
                which=row["which"],
                count=row["count"],
                id=row["id"],
            )
            for row in rows
        ]

    async def fleet_changes(self, before_version: int | None, limit: int) -> list[FleetChange]:
        """Versions of the fleet, newest first."""
        rows = await Pages(self._connection, "/audit/fleet").rows(limit, before_version)
        return [
            FleetChange(row["version"], millis(row["at"]), row["who"], row["summary"])
            for row in rows
        ]


class RemoteState:
    """What people ask of the state; see `comporta.state.port.State`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rejected = Pages(connection, "/rejected")

    async def breakers(self) -> dict[str, Breaker]:
        """Destination id → its breaker, where it is not closed."""
        rows = (await self._connection.get("/breakers"))["items"]
        return {row["destination_id"]: _breaker(row) for row in rows}

    async def rejected(self, limit: int, before_id: int | None = None) -> list[Rejected]:
        """The newest refused requests."""
        return [_refused(row) for row in await self._rejected.rows(limit, before_id)]


def _selection(which: DeliveryFilter) -> dict[str, object]:
    common = {
        "state": which.state.value if which.state else None,
        "destination": which.destination_id,
        "instance": which.instance_id,
        "event_type": which.event_type,
        "route": which.route_id,
        "event": ids.show("evt", which.event_id) if which.event_id is not None else None,
        "since": _moment(which.since_ms),
        "until": _moment(which.until_ms),
        "failed_with": which.reason,
    }
    chosen = {key: value for key, value in common.items() if value is not None}
    if which.delivery_ids:
        return chosen | {"deliveries": [ids.show("dlv", one) for one in which.delivery_ids]}
    # Whether something had to be chosen is settled before a filter is made.
    return chosen | {"all": True}


def _number(text: str) -> int:
    return ids.parse(text.partition("_")[0], text)


def _moment(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return (dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=at_ms)).isoformat()


def millis(text: str | None) -> int:
    """A moment of the API as Unix milliseconds; 0: none."""
    return 0 if text is None else round(dt.datetime.fromisoformat(text).timestamp() * 1000)


def _event(row: dict[str, Any]) -> EventRow:
    repeats = row["duplicate_of"]
    return EventRow(
        id=_number(row["id"]),
        accepted_at_ms=millis(row["accepted_at"]),
        instance_id=row["instance_id"],
        source_id=row["source_id"],
        event_type=row["event_type"],
        account_id=row["account_id"],
        subject=row["subject"],
        verified=row["verified"],
        body_bytes=row["body_bytes"],
        duplicate_of=None if repeats is None else _number(repeats),
        deliveries=row["deliveries"],
    )


def _delivery(row: dict[str, Any]) -> DeliveryRow:
    return DeliveryRow(
        id=_number(row["id"]),
        event_id=_number(row["event_id"]),
        event_type=row["event_type"],
        instance_id=row["instance_id"],
        subject=row["subject"],
        destination_id=row["destination_id"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        due_at_ms=millis(row["due_at"]),
        settled_at_ms=millis(row["settled_at"]),
        reason=row["reason"],
        replay=row["replay"],
    )


def _attempt(delivery_id: int, row: dict[str, Any]) -> AttemptRow:
    return AttemptRow(
        delivery_id=delivery_id,
        number=row["number"],
        started_at_ms=millis(row["started_at"]),
        duration_ms=row["duration_ms"],
        status=row["status"],
        error=row["error"],
        response=row["response"].encode(),
    )


def _breaker(row: dict[str, Any]) -> Breaker:
    return Breaker(
        state=BreakerState(row["state"]),
        since_ms=millis(row["since"]),
        until_ms=millis(row["until"]),
        trips=row["trips"],
        probes=row["probes"],
        reason=row["reason"],
    )


def _refused(row: dict[str, Any]) -> Rejected:
    return Rejected(
        at_ms=millis(row["at"]),
        status=row["status"],
        reason=row["reason"],
        method=row["method"],
        path=row["path"],
        peer=row["peer"],
        source_id=row["source_id"] or "",
        headers=tuple((one["name"], one["value"]) for one in row["headers"]),
        body_bytes=row["body_bytes"],
    )
