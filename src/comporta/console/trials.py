"""The operations that try an event on routes or on a destination: they send and change nothing."""

import binascii
from base64 import b64decode
from typing import Annotated

from fastapi import Path

from comporta.console import asked, problems, shapes, told
from comporta.console.desk import Desk
from comporta.console.operations import READ, Operations
from comporta.console.problems import Fault, RefusedError
from comporta.console.traffic import number
from comporta.i18n import _
from comporta.operating.trials import Sample

BODY_BYTES_MAX = 4 * 1024 * 1024
"""Of a request: a body to be tried and what is around it. Stored events may be larger."""
Name = Annotated[str, Path(max_length=64, description="Its name.")]


class RouteTrial:
    """Registers the one on routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, operations: Operations) -> None:
        """Add it."""
        operations.add(
            "POST",
            "/routes/test",
            "testRoutes",
            self.test,
            READ,
            shapes.RoutesTried,
            body_bytes_max=BODY_BYTES_MAX,
        )

    async def test(self, body: asked.RouteTrialAsked) -> shapes.RoutesTried:
        """Say which routes an event is for, and why not for the others."""
        sample = _sample(body)
        if sample.event_id is None and not sample.instance:
            raise _refused("/instance", _("Say which instance the body comes from."))
        tried = await self._desk.stores.trials.routes(sample, body.route, self._desk.now_ms())
        return told.routes_tried(tried)


class DestinationTrial:
    """Registers the one on a destination."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, operations: Operations) -> None:
        """Add it."""
        operations.add(
            "POST",
            "/destinations/{name}/test",
            "testDestination",
            self.test,
            READ,
            shapes.RequestTried,
            body_bytes_max=BODY_BYTES_MAX,
        )

    async def test(self, name: Name, body: asked.SampleAsked) -> shapes.RequestTried:
        """Show the request that a destination would get for an event. Nothing is sent."""
        sample = _sample(body)
        tried = await self._desk.stores.trials.request(name, sample, self._desk.now_ms())
        return told.request_tried(tried)


def _sample(given: asked.SampleAsked) -> Sample:
    if sum(one is not None for one in (given.event, given.body, given.body_base64)) != 1:
        raise _refused("", _("Give one of event, body and body_base64."))
    if given.event is not None:
        if given.instance is not None:
            said = _("Of a stored event the instance is known: leave it out.")
            raise _refused("/instance", said)
        return Sample(number("evt", given.event, "/event"))
    return Sample(body=_body(given), instance=given.instance or "")


def _body(given: asked.SampleAsked) -> bytes:
    if given.body is not None:
        return given.body.encode(errors="replace")
    try:
        return b64decode(given.body_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise _refused("/body_base64", _("This is not base64.")) from None


def _refused(pointer: str, said: str) -> RefusedError:
    return RefusedError(problems.INVALID, errors=(Fault(pointer, said),))
