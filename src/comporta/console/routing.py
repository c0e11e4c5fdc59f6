"""The operations on destinations and routes."""

from typing import Annotated, cast

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from comporta.console import asked, shapes, told
from comporta.console.desk import Desk, who
from comporta.console.operations import ADMIN, OPERATE, READ, Operations
from comporta.console.paging import Cursor, Limit, link, named_page
from comporta.fleet.credentials import refuse_reference, without_references
from comporta.fleet.named import find
from comporta.fleet.options import DestinationOptions

Name = Annotated[str, Path(max_length=64, description="Its name.")]
_DESTINATION, _ROUTE = "/destinations/{name}", "/routes/{name}"


class DestinationOperations:
    """Registers those on destinations."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._fleet = desk, desk.stores.fleet

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        page = shapes.Page[shapes.Destination]
        add("GET", "/destinations", "listDestinations", self.list, READ, page)
        add("GET", _DESTINATION, "showDestination", self.show, READ, shapes.Destination)
        add(
            "POST",
            "/destinations",
            "createDestination",
            self.create,
            ADMIN,
            shapes.Changed,
            status=201,
        )
        add("PATCH", _DESTINATION, "changeDestination", self.change, ADMIN, shapes.Changed)
        add("DELETE", _DESTINATION, "deleteDestination", self.remove, ADMIN, shapes.Changed)
        add(
            "POST",
            f"{_DESTINATION}/pause",
            "pauseDestination",
            self.pause,
            OPERATE,
            shapes.Changed,
        )
        add(
            "POST",
            f"{_DESTINATION}/resume",
            "resumeDestination",
            self.resume,
            OPERATE,
            shapes.Changed,
        )

    async def list(
        self, request: Request, response: Response, limit: Limit = 50, cursor: Cursor = None
    ) -> shapes.Page[shapes.Destination]:
        """Destinations, by name."""
        things = (await self._fleet.read()).destinations
        rows, after = named_page(things, limit, cursor, "destinations", lambda one: one.name)
        link(request, response, after)
        return shapes.Page(items=[told.destination(one) for one in rows], next=after)

    async def show(self, name: Name) -> shapes.Destination:
        """A destination."""
        return told.destination(find("destination", name, (await self._fleet.read()).destinations))

    async def create(self, request: Request, body: asked.DestinationAsked) -> shapes.Changed:
        """Add a destination."""
        options = _options(body)
        plan = await self._fleet.add_destination(body.name, body.url, who(request), **options)
        return told.changed(plan, self._desk.public_url)

    async def change(
        self, request: Request, name: Name, body: asked.DestinationChanged
    ) -> shapes.Changed:
        """Change what is given of a destination, and nothing else."""
        options = _options(body)
        plan = await self._fleet.change_destination(name, who(request), url=body.url, **options)
        return told.changed(plan, self._desk.public_url)

    async def remove(self, request: Request, name: Name) -> shapes.Changed:
        """Remove a destination. Not possible while a route leads to it."""
        plan = await self._fleet.remove_destination(name, who(request))
        return told.changed(plan, self._desk.public_url)

    async def pause(self, request: Request, name: Name, body: asked.ReasonAsked) -> shapes.Changed:
        """Deliver nothing there until it is resumed; what is owed to it waits."""
        plan = await self._fleet.pause_destination(name, body.reason, who(request))
        return told.changed(plan, self._desk.public_url)

    async def resume(self, request: Request, name: Name) -> shapes.Changed:
        """Deliver there again, what waited first."""
        plan = await self._fleet.resume_destination(name, who(request))
        return told.changed(plan, self._desk.public_url)


def _options(body: asked.OptionsAsked) -> DestinationOptions:
    """What was said, and nothing that was left out."""
    given = body.model_dump(mode="python", exclude_unset=True, exclude={"name", "url"})
    without_references(given, refuse_reference)
    return cast("DestinationOptions", given)


class RouteOperations:
    """Registers those on routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._fleet = desk, desk.stores.fleet

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        page = shapes.Page[shapes.Route]
        add("GET", "/routes", "listRoutes", self.list, READ, page)
        add("GET", _ROUTE, "showRoute", self.show, READ, shapes.Route)
        add("POST", "/routes", "createRoute", self.create, ADMIN, shapes.Changed, status=201)
        add("DELETE", _ROUTE, "deleteRoute", self.remove, ADMIN, shapes.Changed)

    async def list(
        self, request: Request, response: Response, limit: Limit = 50, cursor: Cursor = None
    ) -> shapes.Page[shapes.Route]:
        """Routes, by name."""
        things = (await self._fleet.read()).routes
        rows, after = named_page(things, limit, cursor, "routes", lambda one: one.name)
        link(request, response, after)
        return shapes.Page(items=[told.route(one) for one in rows], next=after)

    async def show(self, name: Name) -> shapes.Route:
        """A route."""
        return told.route(find("route", name, (await self._fleet.read()).routes))

    async def create(self, request: Request, body: asked.RouteAsked) -> shapes.Changed:
        """Lead events to destinations, from now on."""
        values = body.model_dump(mode="json", exclude_unset=True)
        plan = await self._fleet.add({"route": [values]}, who(request))
        return told.changed(plan, self._desk.public_url)

    async def remove(self, request: Request, name: Name) -> shapes.Changed:
        """Remove a route. Deliveries that it made already are still made."""
        plan = await self._fleet.remove_route(name, who(request))
        return told.changed(plan, self._desk.public_url)
