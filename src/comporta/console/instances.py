"""The operations on instances and their sources, tokens and secrets."""

from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from comporta.console import asked, shapes, told
from comporta.console.desk import Desk, who
from comporta.console.operations import ADMIN, READ, Operations
from comporta.console.paging import Cursor, Limit, link, named_page
from comporta.fleet.credentials import refuse_reference, without_references
from comporta.fleet.named import find

Name = Annotated[str, Path(max_length=64, description="The instance's name.")]
SourceName = Annotated[str, Path(max_length=64, description="The source's name.")]
Digest = Annotated[
    str, Path(max_length=80, description="The token's digest, or its beginning, or its hint.")
]
_ONE, _SOURCE = "/instances/{name}", "/instances/{name}/sources/{source}"


class InstanceOperations:
    """Registers them."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._fleet = desk, desk.stores.fleet

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        page = shapes.Page[shapes.Instance]
        add("GET", "/instances", "listInstances", self.list, READ, page)
        add("GET", _ONE, "showInstance", self.show, READ, shapes.Instance)
        add("POST", "/instances", "createInstance", self.create, ADMIN, shapes.Changed, status=201)
        add("DELETE", _ONE, "deleteInstance", self.remove, ADMIN, shapes.Changed)
        add(
            "POST",
            f"{_ONE}/sources",
            "createSource",
            self.create_source,
            ADMIN,
            shapes.Changed,
            status=201,
        )
        add("DELETE", _SOURCE, "deleteSource", self.remove_source, ADMIN, shapes.Changed)
        add(
            "POST",
            f"{_SOURCE}/tokens",
            "createToken",
            self.add_token,
            ADMIN,
            shapes.Changed,
            status=201,
        )
        add(
            "DELETE",
            f"{_SOURCE}/tokens/{{digest}}",
            "deleteToken",
            self.remove_token,
            ADMIN,
            shapes.Changed,
        )
        add(
            "POST",
            f"{_SOURCE}/secrets",
            "createSecret",
            self.add_secret,
            ADMIN,
            shapes.Changed,
            status=201,
        )
        add(
            "POST",
            f"{_SOURCE}/secrets/remove",
            "removeSecret",
            self.remove_secret,
            ADMIN,
            shapes.Changed,
        )

    async def list(
        self, request: Request, response: Response, limit: Limit = 50, cursor: Cursor = None
    ) -> shapes.Page[shapes.Instance]:
        """Instances, by name."""
        things = (await self._fleet.read()).instances
        rows, after = named_page(things, limit, cursor, "instances", lambda one: one.name)
        link(request, response, after)
        return shapes.Page(items=[told.instance(one) for one in rows], next=after)

    async def show(self, name: Name) -> shapes.Instance:
        """An instance with its sources."""
        return told.instance(find("instance", name, (await self._fleet.read()).instances))

    async def create(self, request: Request, body: asked.InstanceAsked) -> shapes.Changed:
        """Add an instance."""
        plan = await self._fleet.add_instance(body.name, body.url, who(request))
        return told.changed(plan, self._desk.public_url)

    async def remove(self, request: Request, name: Name) -> shapes.Changed:
        """Remove an instance with its sources: their webhook URLs stop working."""
        plan = await self._fleet.remove_instance(name, who(request))
        return told.changed(plan, self._desk.public_url)

    async def create_source(
        self, request: Request, name: Name, body: asked.SourceAsked
    ) -> shapes.Changed:
        """Add a source. A token that is made for it is shown once."""
        without_references([body.token, body.secrets], refuse_reference)
        plan = await self._fleet.add_source(
            *(name, body.name, body.kind, who(request)), token=body.token, secrets=body.secrets
        )
        return told.changed(plan, self._desk.public_url)

    async def remove_source(
        self, request: Request, name: Name, source: SourceName
    ) -> shapes.Changed:
        """Remove a source: its webhook URL stops working."""
        plan = await self._fleet.remove_source(name, source, who(request))
        return told.changed(plan, self._desk.public_url)

    async def add_token(
        self, request: Request, name: Name, source: SourceName, body: asked.TokenAsked
    ) -> shapes.Changed:
        """Add a token to a source; the old one works on."""
        without_references(body.token, refuse_reference)
        plan = await self._fleet.add_token(name, source, who(request), token=body.token)
        return told.changed(plan, self._desk.public_url)

    async def remove_token(
        self, request: Request, name: Name, source: SourceName, digest: Digest
    ) -> shapes.Changed:
        """Remove a token: URLs with it stop working."""
        plan = await self._fleet.remove_token(name, source, digest, who(request))
        return told.changed(plan, self._desk.public_url)

    async def add_secret(
        self, request: Request, name: Name, source: SourceName, body: asked.SecretAsked
    ) -> shapes.Changed:
        """Add a signing secret to a source; others work on."""
        without_references(body.secret, refuse_reference)
        plan = await self._fleet.add_secret(name, source, body.secret, who(request))
        return told.changed(plan, self._desk.public_url)

    async def remove_secret(
        self, request: Request, name: Name, source: SourceName, body: asked.SecretAsked
    ) -> shapes.Changed:
        """Remove a signing secret, given as it was added."""
        plan = await self._fleet.remove_secret(name, source, body.secret, who(request))
        return told.changed(plan, self._desk.public_url)
