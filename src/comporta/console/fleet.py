"""The operations on the fleet as a whole: see it, export it, plan and apply a document."""

import asyncio
import json
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from comporta.console import problems, shapes, told
from comporta.console.desk import Desk, who
from comporta.console.operations import ADMIN, READ, Operations
from comporta.console.problems import Fault, RefusedError
from comporta.fleet.credentials import refuse_reference, without_references
from comporta.fleet.declared import Declared
from comporta.fleet.parse import FILE_BYTES_MAX, check_values, read_values, toml_values
from comporta.i18n import _
from comporta.vault import Vault

TOML = "application/toml"
_DOCUMENT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/FleetAsked"}},
            TOML: {"schema": {"type": "string"}},
        },
    }
}


class FleetOperations:
    """Registers them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("GET", "/fleet", "showFleet", self.show, READ, shapes.Fleet)
        add("GET", "/fleet/export", "exportFleet", self.export, ADMIN, None, media=TOML)
        add(
            "POST",
            "/fleet/plan",
            "planFleet",
            self.plan,
            ADMIN,
            shapes.Changed,
            body_bytes_max=FILE_BYTES_MAX,
            extra=_DOCUMENT,
        )
        add(
            "POST",
            "/fleet/apply",
            "applyFleet",
            self.apply,
            ADMIN,
            shapes.Changed,
            body_bytes_max=FILE_BYTES_MAX,
            extra=_DOCUMENT,
        )

    async def show(self) -> Response:
        """The whole fleet, without secrets."""
        fleet = await self._desk.stores.fleet.read()
        # A large one takes a while; intake goes first.
        body = await asyncio.to_thread(lambda: told.fleet(fleet).model_dump_json())
        return Response(body, media_type="application/json")

    async def export(self) -> Response:
        """The fleet as a fleet file; secrets are sealed with this gateway's key."""
        text = await self._desk.stores.fleet.export()
        return Response(text, media_type=TOML)

    async def plan(self, request: Request) -> shapes.Changed:
        """What applying a document would change; nothing is changed."""
        plan = await self._desk.stores.fleet.plan(await self._declared(request))
        return told.changed(plan, self._desk.public_url, applied=False)

    async def apply(self, request: Request) -> shapes.Changed:
        """Make the fleet what a document says."""
        declared = await self._declared(request)
        plan = await self._desk.stores.fleet.apply(declared, who(request))
        return told.changed(plan, self._desk.public_url)

    async def _declared(self, request: Request) -> Declared:
        body = await request.body()
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        return await asyncio.to_thread(_read, body, media, self._desk.stores.vault)


def _read(body: bytes, media: str, vault: Vault) -> Declared:
    values = _from_toml(body) if media == TOML else _from_json(body)
    return check_values(read_values(without_references(values, refuse_reference), vault))


def _from_toml(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        said = _("The fleet file is not UTF-8 text.")
        raise RefusedError(problems.INVALID, errors=(Fault("", said),)) from None
    return toml_values(text, "")


def _from_json(body: bytes) -> dict[str, Any]:
    try:
        # Checked as JSON first; then read with Python's own, which knows integers of any size.
        msgspec.json.decode(body, type=msgspec.Raw)
        values = json.loads(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        said = _("Send one JSON object, or a fleet file with Content-Type: application/toml.")
        raise RefusedError(problems.INVALID, errors=(Fault("", said),))
    return values
