"""The operations that change deliveries in bulk: count first, then go in steps of at most 500."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from comporta.console import asked, shapes
from comporta.console.desk import Desk
from comporta.console.operations import OPERATE, READ, Operations
from comporta.console.paging import read_id_cursor, write_cursor
from comporta.console.traffic import millis, number
from comporta.domain.delivery import DeliveryState
from comporta.ledger.port import DeliveryFilter, Step
from comporta.operating.names import Names
from comporta.operating.selection import Selection, filter_of


class BulkOperations:
    """Registers them."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._ledger = desk, desk.stores.ledger

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("POST", "/deliveries/count", "countDeliveries", self.count, READ, shapes.Count)
        add("POST", "/deliveries/redrive", "redriveDeliveries", self.redrive, OPERATE, shapes.Step)
        add("POST", "/deliveries/replay", "replayDeliveries", self.replay, OPERATE, shapes.Step)

    async def count(self, body: asked.DeliveriesAsked) -> shapes.Count:
        """How many deliveries match."""
        which = _filter(body, body.state, await self._desk.names())
        return shapes.Count(count=await self._ledger.count(which))

    async def redrive(self, body: asked.StepAsked) -> shapes.Step:
        """Put dead letters back into their lanes, one step of it."""

        async def step(which: DeliveryFilter) -> Step:
            return await self._ledger.redrive(which, self._desk.now_ms())

        names = await self._desk.names()
        return await _step("redrive", body, _filter(body, DeliveryState.DEAD, names), step)

    async def replay(self, body: asked.ReplayAsked) -> shapes.Step:
        """Deliver again what was delivered before, one step of it."""
        names = await self._desk.names()
        target = names.target_id(body.to)

        async def step(which: DeliveryFilter) -> Step:
            return await self._ledger.replay(which, self._desk.now_ms(), target)

        return await _step("replay", body, _filter(body, DeliveryState.DELIVERED, names), step)


def _filter(
    body: asked.DeliveriesAsked, state: DeliveryState | None, names: Names
) -> DeliveryFilter:
    which = Selection(
        state=state,
        event_id=number("evt", body.event, "/event"),
        delivery_id=number("dlv", body.delivery, "/delivery"),
        destination=body.destination,
        instance=body.instance,
        since_ms=millis(body.since),
        every=body.all,
    )
    return filter_of(which, names)


async def _step(
    kind: str,
    body: asked.StepAsked,
    which: DeliveryFilter,
    step: Callable[[DeliveryFilter], Awaitable[Step]],
) -> shapes.Step:
    after_id = read_id_cursor(kind, body.cursor)
    done = await step(replace(which, limit=body.limit, after_id=after_id))
    ended = done.done < body.limit
    return shapes.Step(done=done.done, next=None if ended else write_cursor(kind, done.last_id))
