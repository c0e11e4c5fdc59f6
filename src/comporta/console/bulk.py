"""The operations that change deliveries in bulk: count first, then go in steps of at most 500.

The first step puts the change on record and settles how many it takes; the cursor carries that on,
sealed, for it names the record.
"""

import msgspec
from starlette.requests import Request

from comporta.console import asked, problems, shapes, told
from comporta.console.desk import Desk, who
from comporta.console.operations import OPERATE, READ, Operations
from comporta.console.problems import Fault, RefusedError
from comporta.console.traffic import millis, number
from comporta.domain.pace import Speed
from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.ledger.bulk import Order, Progress, advance, begin
from comporta.ledger.port import Bulk, DeliveryFilter, Matches
from comporta.operating.names import Names
from comporta.operating.pacing import lasting_ms, speed_of
from comporta.operating.selection import Selection, check_chosen, filter_of


class BulkOperations:
    """Registers them."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._ledger = desk, desk.stores.ledger

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("POST", "/deliveries/count", "countDeliveries", self.count, READ, shapes.Count)
        add("POST", "/deliveries/match", "matchDeliveries", self.match, READ, shapes.Matches)
        add("POST", "/deliveries/redrive", "redriveDeliveries", self.redrive, OPERATE, shapes.Step)
        add("POST", "/deliveries/replay", "replayDeliveries", self.replay, OPERATE, shapes.Step)
        add("POST", "/deliveries/discard", "discardDeliveries", self.discard, OPERATE, shapes.Step)

    async def count(self, body: asked.DeliveriesAsked) -> shapes.Count:
        """How many deliveries match."""
        which = _filter(body, await self._desk.names())
        return shapes.Count(count=await self._ledger.count(which))

    async def match(self, body: asked.MatchAsked) -> shapes.Matches:
        """What a change in bulk would take now."""
        which = _filter(body, await self._desk.names())
        return told.matches(await self._ledger.matches(body.what, which))

    async def redrive(self, request: Request, body: asked.StepAsked) -> shapes.Step:
        """Put dead letters back into their lanes, one step of it."""
        which = _filter(body, await self._desk.names())
        return await self._step(Order(Bulk.REDRIVE, which, who(request)), body)

    async def replay(self, request: Request, body: asked.ReplayAsked) -> shapes.Step:
        """Deliver again what was delivered before, one step of it."""
        names = await self._desk.names()
        which, target = _filter(body, names), names.target_id(body.to)
        speed = _speed(body.speed)
        order = Order(Bulk.REPLAY, which, who(request), destination_id=target, speed=speed)
        return await self._step(order, body)

    async def discard(self, request: Request, body: asked.DiscardAsked) -> shapes.Step:
        """Give up deliveries that wait or are dead letters, one step of it."""
        caller = who(request)
        which = _filter(body, await self._desk.names())
        reason = body.reason or f"discarded by {caller}"
        return await self._step(Order(Bulk.DISCARD, which, caller, reason=reason), body)

    async def _step(self, order: Order, body: asked.StepAsked) -> shapes.Step:
        if body.cursor is None:
            found = await self._ledger.matches(order.what, order.which)
            _check_lasts(order.speed, found)
            progress = await begin(self._ledger, order, found, self._desk.now_ms())
        else:
            progress = self._read(order, body.cursor)
        before = progress.done
        if not progress.ended:
            now_ms = self._desk.now_ms()
            progress = await advance(self._ledger, order, progress, body.limit, now_ms)
        after = None if progress.ended else self._write(order, progress)
        return shapes.Step(done=progress.done - before, total=progress.count, next=after)

    def _write(self, order: Order, progress: Progress) -> str:
        text = msgspec.json.encode((order.what, progress)).decode()
        return self._desk.stores.vault.seal(text)

    def _read(self, order: Order, cursor: str) -> Progress:
        try:
            text = self._desk.stores.vault.open(cursor)
            what, progress = msgspec.json.decode(text, type=tuple[Bulk, Progress])
        except (ConfigError, msgspec.DecodeError):
            what, progress = None, None
        if progress is None or what is not order.what:
            said = _("This is not a cursor of this list. Leave it out to begin at the start.")
            raise RefusedError(problems.INVALID, errors=(Fault("/cursor", said),))
        return progress


def _filter(body: asked.DeliveriesAsked, names: Names) -> DeliveryFilter:
    ids = (number("dlv", one, f"/deliveries/{i}") for i, one in enumerate(body.deliveries))
    which = Selection(
        state=body.state,
        event_id=number("evt", body.event, "/event"),
        delivery_ids=tuple(dict.fromkeys(one for one in ids if one is not None)),
        destination=body.destination,
        instance=body.instance,
        event_type=body.event_type,
        route=body.route,
        since_ms=millis(body.since),
        until_ms=millis(body.until),
        reason=body.failed_with,
    )
    check_chosen(which, every=body.all)
    return filter_of(which, names)


def _speed(text: str | None) -> Speed | None:
    try:
        return speed_of(text)
    except ConfigError as error:
        raise _refused(error) from None


def _check_lasts(speed: Speed | None, found: Matches) -> None:
    try:
        if speed is not None:
            lasting_ms(speed, found)
    except ConfigError as error:
        raise _refused(error) from None


def _refused(error: ConfigError) -> RefusedError:
    return RefusedError(problems.INVALID, errors=(Fault("/speed", str(error)),))
