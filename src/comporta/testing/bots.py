"""`deliver`: an event through the handlers of a module, without a server, for plain tests.

Routes, decoders, timeouts and endings are those of the gateway; only retries are left to the test.
"""

import asyncio
import json
import zlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

import msgspec

from comporta.chatwoot.fields import fields_of
from comporta.chatwoot.peek import peek
from comporta.domain.delivery import Delivery, Ending
from comporta.domain.event import Headers
from comporta.domain.fleet import Fleet, Instance
from comporta.domain.matching import RouteTable
from comporta.errors import NotFoundError
from comporta.handlers.call import Ended, call
from comporta.handlers.registry import Gateway, Handler
from comporta.i18n import _
from comporta.words import did_you_mean

_HEADERS: Headers = (("content-type", "application/json"),)
_INSTANCE_ID = "ins_test"
_PAYLOADS = resources.files("comporta.testing") / "payloads"


class Outcome(msgspec.Struct, frozen=True):
    """What one handler made of an event."""

    ending: Literal["done", "retry", "dropped", "failed"]
    reason: str = ""
    retry_s: float | None = None
    """What `Retry.after` asked for; None: the schedule decides (network trouble, a timeout)."""
    exception: BaseException | None = None
    """What it raised, `Retry` and `Drop` aside."""


_ENDINGS: dict[Ending, Literal["done", "retry", "dropped", "failed"]] = {
    Ending.DONE: "done",
    Ending.PASSING: "retry",
    Ending.DROPPED: "dropped",
    Ending.POISON: "failed",
}


def sample(name: str) -> dict[str, Any]:
    """A body as Chatwoot sends it, to be changed at will.

    Args:
        name: `message_created`, `message_created.account.attachments`, `conversation_updated`, …;
            all are in the folder `payloads` of this package.

    Raises:
        NotFoundError: there is none of that name.
    """
    file = _PAYLOADS / f"{name}.json"
    if "/" in name or not file.is_file():
        names = [one.name.removesuffix(".json") for one in _PAYLOADS.iterdir()]
        said = _('There is no sample "{name}".').format(name=name)
        raise NotFoundError(f"{said} {did_you_mean(name, names)}".rstrip())
    body: dict[str, Any] = json.loads(file.read_bytes())
    return body


def deliver(
    gateway: Gateway,
    event: str | bytes | Mapping[str, Any],
    *,
    instance: str = "test",
    attempt: int = 1,
) -> dict[str, Outcome]:
    """Give an event to all handlers that want it, one after the other.

    Args:
        gateway: whose handlers.
        event: the name of a sample, a body, or what is to be one.
        instance: the name of the instance that it comes from.
        attempt: which attempt the handlers are told it is. Like a real one, a second attempt at the
            same body has the same delivery ids.

    Returns:
        The name of each handler that matched → what it made of the event.

    Raises:
        NotFoundError: there is no such sample.
        NotAnObjectError: the body is not a JSON object, which no gateway takes in.
    """
    if isinstance(event, str):
        event = sample(event)
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    event_type = peek(body).event_type
    chosen = _chosen(gateway.handlers, instance, event_type, body)
    number = zlib.crc32(body) + 1

    async def run() -> dict[str, Outcome]:
        outcomes = {}
        for place, handler in enumerate(chosen):
            delivery = _delivery(number, place, event_type, attempt, body)
            ended = await call(handler, delivery, instance, handler.timeout_s)
            outcomes[handler.name] = _outcome(ended)
        return outcomes

    return asyncio.run(run())


def _chosen(
    handlers: tuple[Handler, ...], instance: str, event_type: str, body: bytes
) -> list[Handler]:
    by_id = {f"dst_{one.name}": one for one in handlers}
    fleet = Fleet(
        instances=(Instance(_INSTANCE_ID, instance),),
        destinations=tuple(one.destination(id_) for id_, one in by_id.items()),
        routes=tuple(one.route(id_) for id_, one in by_id.items()),
    )
    choices = RouteTable(fleet).choose(_INSTANCE_ID, event_type, lambda: fields_of(body))
    for choice in choices:
        if choice.error:  # a defect, and not the user's: the conditions were checked
            raise RuntimeError(choice.error)
    return [by_id[choice.destination_id] for choice in choices]


def _delivery(number: int, place: int, event_type: str, attempt: int, body: bytes) -> Delivery:
    return Delivery(
        id=(number << 8) + place,
        event_id=number,
        destination_id="",
        partition=0,
        lane=0,
        attempts=attempt - 1,
        due_at_ms=0,
        instance_id=_INSTANCE_ID,
        event_type=event_type,
        accepted_at_ms=0,
        headers=_HEADERS,
        body=body,
    )


def _outcome(ended: Ended) -> Outcome:
    return Outcome(_ENDINGS[ended.ending], ended.reason, ended.retry_after_s, ended.exception)
