"""What people ask about deliveries, as SQL that every engine understands, and rows as structs.

The few words that differ between databases stand in a `Dialect`. Nothing here knows a connection.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import json

from comporta.domain.delivery import DeliveryState
from comporta.domain.ids import first_at
from comporta.ledger.port import (
    Bulk,
    DeliveryFilter,
    DeliveryRow,
    EventDetail,
    EventRow,
    Matches,
)

_COLUMNS = (
    "d.id, d.event_id, e.event_type, e.instance_id, e.subject, d.destination_id, d.state,"
    " d.attempts, d.due_at_ms, d.settled_at_ms, d.reason, d.replay"
)
_CHOSEN = "d.id, d.event_id, d.destination_id, d.partition, d.lane, d.route_id, e.accepted_at_ms"
_FROM = " FROM deliveries d JOIN events e ON e.id = d.event_id"
_HAS_BODY = "EXISTS (SELECT 1 FROM bodies b WHERE b.event_id = d.event_id)"
_OPEN = "d.state IN ('pending', 'scheduled')"
Query = tuple[str, Sequence[object]]
"""A statement, and the values of its numbered places."""


class Dialect(msgspec.Struct, frozen=True):
    """How a database says it. `{}` is the place of a value."""

    mark: str
    """What stands before the number of a value's place."""
    among: str
    """That a delivery's id is one of a list."""
    listed: Callable[[tuple[int, ...]], object]
    """A list of ids as one value."""
    contains: str
    """That the reason contains a text, upper or lower case."""


class Chosen(msgspec.Struct, frozen=True, gc=False):
    """A delivery that a step of a change in bulk is to change."""

    id: int
    event_id: int
    destination_id: str
    partition: int
    lane: int
    route_id: str
    accepted_at_ms: int


class _Where:
    """Conditions on `_FROM` that all hold, and their values."""

    def __init__(self, words: Dialect, which: DeliveryFilter) -> None:
        self._words = words
        self._found: list[str] = []
        self.values: list[object] = []
        # The state stands in the text, so that the partial indexes can be used.
        if which.state is not None:
            self.that(f"d.state = '{which.state.value}'")
        ids = which.delivery_ids
        for condition, value in (
            ("d.destination_id = {}", which.destination_id),
            ("e.instance_id = {}", which.instance_id),
            ("e.event_type = {}", which.event_type),
            ("d.route_id = {}", which.route_id),
            # A delivery is made after its event: only what is younger has to be looked at.
            ("d.event_id = {0} AND d.id > {0}", which.event_id),
            (words.among, words.listed(ids) if ids else None),
            ("d.id >= {}", None if which.since_ms is None else first_at(which.since_ms)),
            ("d.id < {}", None if which.until_ms is None else first_at(which.until_ms)),
            ("d.settled_at_ms > 0 AND d.settled_at_ms < {}", which.settled_until_ms),
            (words.contains, which.reason),
        ):
            if value is not None:
                self.that(condition, value)

    def that(self, condition: str, *values: object) -> None:
        """Ask for this as well."""
        self._found.append(condition.format(*map(self.place, values)))

    def place(self, value: object) -> str:
        """A numbered place for a value."""
        self.values.append(value)
        return f"{self._words.mark}{len(self.values)}"

    def query(self, asked: str, more: str = "") -> Query:
        """`asked` of the deliveries for which all holds."""
        where = " AND ".join(self._found) or "TRUE"
        return f"SELECT {asked}{_FROM} WHERE {where}{more}", self.values


def listing(words: Dialect, which: DeliveryFilter) -> Query:
    """A page of deliveries, newest first, for `delivery_row`."""
    where = _Where(words, which)
    if which.before_id is not None:
        where.that("d.id < {}", which.before_id)
    return where.query(_COLUMNS, f" ORDER BY d.id DESC LIMIT {where.place(which.limit)}")


def counting(words: Dialect, which: DeliveryFilter) -> Query:
    """How many match; pages aside."""
    return _Where(words, which).query("count(*)")


def matching(words: Dialect, what: Bulk, which: DeliveryFilter) -> Query:
    """What a change in bulk would take, for `matches_of`."""
    body = "TRUE" if what is Bulk.DISCARD else _HAS_BODY
    asked = (
        f"count(*) FILTER (WHERE {body}), count(*), min(e.accepted_at_ms), max(e.accepted_at_ms)"
    )
    return _meant(words, what, which).query(asked)


def choosing(words: Dialect, what: Bulk, which: DeliveryFilter) -> Query:
    """The next step, oldest first, for `Chosen`: `which.limit` after `which.after_id`."""
    where = _meant(words, what, which)
    if what is not Bulk.DISCARD:
        where.that(_HAS_BODY)
    if which.after_id is not None:
        where.that("d.id > {}", which.after_id)
    return where.query(_CHOSEN, f" ORDER BY d.id LIMIT {where.place(which.limit)}")


def _meant(words: Dialect, what: Bulk, which: DeliveryFilter) -> _Where:
    """The filter, within what this change may touch at all."""
    if what is Bulk.REDRIVE:
        return _Where(words, msgspec.structs.replace(which, state=DeliveryState.DEAD))
    if what is Bulk.DISCARD:
        where = _Where(words, which)
        where.that(f"({_OPEN} OR d.state = 'dead')")
        return where
    if which.event_id is None:
        which = msgspec.structs.replace(which, state=DeliveryState.DELIVERED)
    where = _Where(words, which)
    if not which.delivery_ids:
        # What a replay brought is not replayed along with what it was made from.
        where.that("NOT d.replay")
    return where


def delivery_row(row: Sequence[Any]) -> DeliveryRow:
    """A row of `listing`."""
    values = list(row)
    values[6] = DeliveryState(str(values[6]))
    values[11] = bool(values[11])
    return DeliveryRow(*values)


def matches_of(row: Sequence[Any]) -> Matches:
    """The row of `matching`."""
    return Matches(row[0], row[1] - row[0], row[2] or 0, row[3] or 0)


def event_row(row: Sequence[Any]) -> EventRow:
    """The columns of `EventRow`, in its order."""
    values = list(row)
    values[7] = bool(values[7])
    return EventRow(*values)


def event_detail(row: Sequence[Any]) -> EventDetail:
    """The same, with the headers as JSON and the body behind them."""
    headers = json.decode(row[11], type=tuple[tuple[str, str], ...])
    return EventDetail(event_row(row[:11]), headers, row[12])
