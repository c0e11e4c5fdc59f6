"""The body and headers that a destination asks for instead of Chatwoot's own. Pure.

A shape is settled once for each version of the fleet, and applied to each delivery. Destinations
that take events as they came have none, and cost nothing here.
"""

import datetime as dt
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jmespath
import msgspec

from comporta.domain.delivery import Delivery, Ending
from comporta.domain.fleet import Format
from comporta.domain.ids import show

BODY_BYTES_MAX = 1024**2
"""Of a body that an expression is applied to: it is worked on in one go, while others wait."""
SHAPED_BYTES_MAX = 4 * 1024**2
"""Of what an expression makes of it."""
TRACE_BYTES_MAX = 20_000
NULL = "the transform gave null"
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
_STALE = ("x-chatwoot-signature", "x-chatwoot-timestamp")
"""Chatwoot's signature is over its own bytes, and says nothing about others."""


class Shaped(msgspec.Struct, frozen=True, gc=False):
    """What is sent."""

    body: bytes
    headers: dict[str, str] = {}
    """In the place of Chatwoot's of the same name, lower case."""
    without: tuple[str, ...] = ()
    """Headers of Chatwoot's that are left out."""


class Unshapable(msgspec.Struct, frozen=True, gc=False):
    """Nothing is sent: this delivery ends without an attempt at the destination."""

    ending: Ending
    reason: str
    trace: bytes = b""
    """For whoever looks into it; may tell about the event's content."""


Shape = Callable[[Delivery, str], Shaped | Unshapable]
"""A delivery and the name of its instance → what is sent."""


def shape_of(chosen: Format, transform: str) -> Shape | None:
    """The shape of a destination; None: events go out as they came.

    Args:
        chosen: the format.
        transform: a JMESPath expression that was checked, if that is the format.
    """
    match chosen:
        case Format.RAW:
            return None
        case Format.CLOUDEVENTS:
            return cloudevents
        case Format.JMESPATH:
            return Transform(transform)


def cloudevents(delivery: Delivery, instance: str) -> Shaped:
    """CloudEvents 1.0, binary content mode: the body untouched, the attributes as headers.

    Source: https://github.com/cloudevents/spec, `bindings/http-protocol-binding.md`, 3.1, and
    `extensions/partitioning.md`.
    """
    accepted = dt.datetime.fromtimestamp(delivery.accepted_at_ms / 1000, dt.UTC)
    attributes = {
        "ce-specversion": "1.0",
        "ce-id": show("evt", delivery.event_id),
        "ce-source": f"/instances/{instance}",
        "ce-type": f"com.chatwoot.{delivery.event_type or 'unknown'}.v1",
        "ce-time": accepted.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ce-partitionkey": str(delivery.lane),
    }
    headers = {name: quote(value, safe=_PLAIN) for name, value in attributes.items()}
    return Shaped(delivery.body, headers)


class Transform:
    """A JMESPath expression, compiled once, that makes the body of each delivery.

    Args:
        expression: one that was checked.
    """

    def __init__(self, expression: str) -> None:
        self._compiled = jmespath.compile(expression)

    def __call__(self, delivery: Delivery, instance: str) -> Shaped | Unshapable:
        """The result as JSON; nothing is sent for null, and nothing for what cannot be shaped."""
        del instance
        if len(delivery.body) > BODY_BYTES_MAX:
            return _poison(f"the body is larger than the {BODY_BYTES_MAX} bytes a transform takes")
        try:
            result = self._compiled.search(_decoded(delivery.body))
            body = msgspec.json.encode(result)
        except msgspec.DecodeError as error:
            return _poison("the body is not JSON, so it cannot be transformed", error)
        except _FAILURES as error:
            # The message can quote the event, so it stays out of the reason, which is logged.
            return _poison(f"the transform failed on this event: {type(error).__name__}", error)
        if result is None:
            return Unshapable(Ending.DROPPED, NULL)
        if len(body) > SHAPED_BYTES_MAX:
            return _poison(f"the transform made more than {SHAPED_BYTES_MAX} bytes of this event")
        return Shaped(body, {"content-type": "application/json"}, _STALE)


_FAILURES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the library raises on one event: its own errors are ValueErrors; others slip through it."""


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(type(error).__name__) from error


def _poison(reason: str, error: Exception | None = None) -> Unshapable:
    trace = "".join(traceback.format_exception(error)) if error else reason
    return Unshapable(Ending.POISON, reason, trace.encode(errors="replace")[-TRACE_BYTES_MAX:])
